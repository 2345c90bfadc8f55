"""What a token may spend and do, as options of a command and as words to read.

Only arguments and words; the rules are in ``tokens/`` and ``settingsrules.py``.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, get_args

import attrs
import click

from rt_proxy.settings import Budget, BudgetPeriod, ScopeLimits
from rt_proxy.settingsrules import budget_problems
from rt_proxy.tokens.token import limits_problem

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LIMITS = tuple(field.name for field in attrs.fields(ScopeLimits))


def _money(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Decimal | None:
    try:
        return None if value is None else Decimal(value.removeprefix("$"))
    except InvalidOperation:
        raise click.BadParameter(f"{value!r} is not an amount of USD, such as 5 or 0.50.") from None


def _limits(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    """Return limits and their numbers, of options such as ``sessions=2``."""
    limits: dict[str, float] = {}
    for value in values:
        name, equals, number = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r} is not NAME=NUMBER, such as sessions=2.")
        try:
            limits[name] = int(number)
        except ValueError:
            limits[name] = _part_of_a_number(number) if name == "session_seconds" else -1
        problem = limits_problem({name: limits[name]})
        if problem is not None:
            raise click.BadParameter(f"{value!r}: {problem}.")
    return limits


def _part_of_a_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1


_OPTIONS = (
    click.option(
        "--budget-usd", metavar="AMOUNT", callback=_money, help="What it may spend, in USD."
    ),
    click.option(
        "--budget-tokens", metavar="NUMBER", type=int, help="What it may spend, in tokens."
    ),
    click.option(
        "--budget-per",
        type=click.Choice(get_args(BudgetPeriod)),
        help="How often its budget begins anew.  [default: month]",
    ),
    click.option(
        "--budget-time-zone",
        metavar="ZONE",
        help="Where the days of its budget begin, such as Europe/Berlin.  "
        "[default: as in the config]",
    ),
    click.option(
        "--limit",
        "limits",
        metavar="NAME=NUMBER",
        multiple=True,
        callback=_limits,
        help="A limit of its own, 0: none; may be given more than once. Names: "
        f"{', '.join(_LIMITS)}.  [default: as in the config]",
    ),
)


def allowance_options(command: _Command) -> _Command:
    """Give a command the options of budget and limits."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def budget_of(
    before: Budget | None,
    *,
    usd: Decimal | None,
    tokens: int | None,
    per: BudgetPeriod | None,
    time_zone: str | None,
) -> Budget | None:
    """Return a budget with what the options say, the rest as before; None: there is none.

    Raises:
        click.UsageError: It breaks a rule.
    """
    options = {"usd": usd, "tokens": tokens, "per": per, "time_zone": time_zone}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if not given:
        return before
    budget = attrs.evolve(before or Budget(), **given)
    if budget.usd is None and budget.tokens is None:
        raise click.UsageError("a budget has an amount: give --budget-usd or --budget-tokens too")
    for field, problem in budget_problems(budget):
        raise click.UsageError(f"--budget-{field.replace('_', '-')}: {problem}")
    return budget


def budget_words(budget: Budget | None) -> str:
    """Return a budget for people, such as ``5 USD per day``."""
    if budget is None:
        return "none of its own"
    amounts = []
    if budget.usd is not None:
        amounts.append(f"{budget.usd:f} USD")
    if budget.tokens is not None:
        amounts.append(f"{budget.tokens} tokens")
    per = "for ever" if budget.per == "ever" else f"per {budget.per}"
    zone = "" if budget.time_zone is None else f", {budget.time_zone}"
    return f"{' or '.join(amounts)} {per}{zone}"


def limit_words(limits: Mapping[str, float]) -> str:
    """Return limits for people, such as ``sessions=2, message_bytes=1000``."""
    said = (
        f"{name}={int(number) if float(number).is_integer() else number}"
        for name, number in limits.items()
    )
    return ", ".join(said) or "the default of the proxy"


def budget_json(budget: Budget | None) -> dict[str, object] | None:
    """Return a budget as JSON has it; money is a string, so that no digit is lost."""
    if budget is None:
        return None
    return attrs.asdict(budget) | {"usd": None if budget.usd is None else f"{budget.usd:f}"}
