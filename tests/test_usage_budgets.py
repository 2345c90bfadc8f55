"""Facts about budgets: what is left, what is held, and when a period begins anew."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.settings import Budget
from rt_proxy.usage.budgets import Account, Purse, limits_of
from rt_proxy.usage.ledger import Spent


def at(day: int, hour: int = 12) -> float:
    """Return a moment of November 2026, in Unix seconds."""
    return datetime(2026, 11, day, hour, tzinfo=UTC).timestamp()


NOW = at(26)


def account(usd: str | None = "1", now: float = NOW, **more: object) -> Account:
    """Return the account of a token that has spent nothing."""
    made = Account("alice", Budget(usd=usd and Decimal(usd), **more), "UTC")  # type: ignore[arg-type]
    made.begin_look_up()
    made.end_look_up(now, Spent())
    return made


def usd(amount: str) -> Spent:
    """Return an amount of money."""
    return Spent(nano_usd=int(Decimal(amount) * 10**9))


def test_limits() -> None:
    """A limit is in nano USD, and what has none has none."""
    assert limits_of(Budget(usd=Decimal("0.000000001"))) == (1, None)
    assert limits_of(Budget(tokens=5)) == (None, 5)


class TestAccount:
    """One budget."""

    def test_at_the_limit(self) -> None:
        """A budget is spent when all of it is, and not a thousand-millionth before."""
        of = account("1")
        of.note(NOW, usd("0.999999999"))
        assert not of.is_spent(NOW, with_held=False)
        of.note(NOW, usd("0.000000001"))
        assert of.is_spent(NOW, with_held=False)

    def test_whichever_is_first(self) -> None:
        """With both limits the first that is reached counts."""
        of = account("1", tokens=100)
        of.note(NOW, Spent(tokens=100))
        assert of.is_spent(NOW, with_held=False)

    @pytest.mark.parametrize(
        ("per", "before", "after"),
        [
            ("day", at(26, 23), at(27, 0)),
            ("week", at(29, 23), at(30, 0)),
            ("month", at(30, 23), at(30, 23) + 3_600),
        ],
    )
    def test_begins_anew(self, per: str, before: float, after: float) -> None:
        """When the period is over nothing is spent yet."""
        of = account("1", per=per)
        of.note(NOW, usd("1"))
        assert of.is_spent(before, with_held=False)
        assert not of.is_spent(after, with_held=False)

    def test_never(self) -> None:
        """A budget for ever never begins anew."""
        of = account("1", per="ever")
        of.note(NOW, usd("1"))
        assert of.is_spent(NOW + 10**9, with_held=False)
        assert (of.state(NOW).start, of.state(NOW).end) == (None, None)

    def test_in_its_own_time_zone(self) -> None:
        """A day ends at midnight where the budget says."""
        of = account("1", per="day", time_zone="Europe/Berlin")
        assert of.state(NOW).end == datetime(2026, 11, 26, 23, tzinfo=UTC)

    def test_a_clock_that_is_set_back(self) -> None:
        """A clock that jumps to tomorrow and back finds what was spent today."""
        of = account("1", per="day")
        of.note(NOW, usd("0.7"))
        of.note(at(28), usd("0.1"))
        assert of.state(NOW).spent == usd("0.7")
        assert of.state(at(28)).spent == usd("0.1")

    def test_what_is_spent_makes_nothing_known(self) -> None:
        """What is spent in a period does not tell what was spent in it before."""
        of = Account("alice", Budget(usd=Decimal(1)), "UTC")
        of.note(NOW, usd("0.1"))
        assert not of.is_known(NOW)

    def test_a_clock_that_jumps_for_ever(self) -> None:
        """However often it jumps, only some periods are remembered."""
        of = account("1", per="day")
        for day in range(1, 29):
            of.note(at(day), usd("0.1"))
            of.end_look_up(at(day), Spent())
        assert [day for day in range(1, 29) if of.is_known(at(day))] == [25, 26, 27, 28]

    def test_spent_while_it_was_looked_up(self) -> None:
        """What is spent between the question and the answer counts, once."""
        of = Account("alice", Budget(usd=Decimal(1)), "UTC")
        assert not of.is_known(NOW)
        of.note(NOW, usd("0.5"))
        of.begin_look_up()
        of.note(NOW, usd("0.1"))
        of.end_look_up(NOW, usd("0.6"))
        assert of.state(NOW).spent == usd("0.7")

    def test_another_amount(self) -> None:
        """A budget that is raised knows what was spent already."""
        of = account("1")
        of.note(NOW, usd("1"))
        of.redefine(Budget(usd=Decimal(2)), "UTC")
        assert of.is_known(NOW)
        assert of.state(NOW).left == usd("1")

    @pytest.mark.parametrize("more", [{"per": "day"}, {"time_zone": "Asia/Tokyo"}])
    def test_another_period(self, more: dict[str, str]) -> None:
        """Where the period is another one, what was spent must be looked up."""
        of = account("1")
        of.redefine(Budget(usd=Decimal(1), **more), "UTC")  # type: ignore[arg-type]
        assert not of.is_known(NOW)

    def test_warns_once_in_a_period(self) -> None:
        """The threshold is told of once, and again in the next period."""
        of = account("1", per="day", warn_percent=50)
        spends = [of.note(NOW, usd(amount)) for amount in ("0.4", "0.1", "0.1")]
        assert spends == [False, True, False]
        assert of.note(at(27), usd("0.5"))

    def test_warns_never(self) -> None:
        """With ``warn_percent = 0`` it is not told of."""
        assert not account("1", warn_percent=0).note(NOW, usd("1"))

    def test_left(self) -> None:
        """Nothing is left of what is overspent, and no less."""
        of = account("1", tokens=10)
        of.note(NOW, Spent(nano_usd=2 * 10**9, tokens=3))
        assert of.state(NOW).left == Spent(0, 7)


class TestPurse:
    """What a session holds."""

    def test_fits_as_long_as_the_reserves_do(self) -> None:
        """A newcomer must find its reserve beside those of the others."""
        of = account("1")
        purses = []
        for _ in range(3):
            assert of.fits(NOW, usd("0.3"))
            purses.append(Purse((of,), usd("0.3")))
        assert not of.fits(NOW, usd("0.3"))
        purses[0].close()
        assert of.fits(NOW, usd("0.3"))

    def test_alone(self) -> None:
        """A session alone may have what is left, if anything is."""
        of = account("1")
        of.note(NOW, usd("0.9"))
        assert of.fits(NOW, usd("5"))
        of.note(NOW, usd("0.1"))
        assert not of.fits(NOW, Spent())

    def test_its_reserve_is_its_own(self) -> None:
        """What others speak away beyond the limit does not end one within its reserve."""
        of = account("1")
        quiet, loud = Purse((of,), usd("0.3")), Purse((of,), usd("0.3"))
        loud.note_in_progress(usd("0.7"))
        assert loud.is_over(NOW)
        assert not quiet.is_over(NOW)
        quiet.note_in_progress(usd("0.3"))
        assert not quiet.is_over(NOW)
        quiet.note_in_progress(usd("0.31"))
        assert quiet.is_over(NOW)

    def test_nothing_is_left_for_anybody(self) -> None:
        """When all is spent a reserve is worth nothing."""
        of = account("1")
        purse = Purse((of,), usd("0.3"))
        of.note(NOW, usd("1"))
        assert purse.is_over(NOW)

    def test_what_is_in_progress_counts(self) -> None:
        """Responses of all sessions count while they go on, and no more when they are paid."""
        of = account("1")
        first, second = Purse((of,), Spent()), Purse((of,), Spent())
        first.note_in_progress(usd("0.6"))
        second.note_in_progress(usd("0.4"))
        assert first.is_over(NOW)
        of.note(NOW, usd("0.5"))
        first.note_in_progress(Spent())
        first.note_spent()
        assert not first.is_over(NOW)

    def test_two_budgets(self) -> None:
        """Either budget ends it, be it the token's or the proxy's."""
        mine, everybodys = account("1"), account("2")
        purse = Purse((mine, everybodys), Spent())
        purse.note_in_progress(usd("0.9"))
        other = Purse((everybodys,), Spent())
        other.note_in_progress(usd("1.1"))
        assert purse.is_over(NOW)
        other.close()
        assert not purse.is_over(NOW)

    def test_without_a_budget(self) -> None:
        """It may spend what it likes."""
        purse = Purse((), usd("5"))
        purse.note_in_progress(usd("1000"))
        assert not purse.has_accounts
        assert not purse.is_over(NOW)

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 3), st.sampled_from(["speak", "spend", "close"]), st.integers(0, 50)
            ),
            max_size=40,
        )
    )
    def test_all_is_given_back(self, steps: list[tuple[int, str, int]]) -> None:
        """Whatever sessions do, nothing is held when all of them are over."""
        of = account(None, tokens=100)
        purses = [Purse((of,), Spent(tokens=10)) for _ in range(4)]
        for index, step, amount in steps:
            purse = purses[index]
            if step == "speak":
                purse.note_in_progress(Spent(tokens=amount))
            elif step == "spend":
                purse.note_spent()
                purse.note_in_progress(Spent())
            else:
                purse.close()
        for purse in purses:
            purse.close()
        assert of.fits(NOW, Spent(tokens=math.inf))  # type: ignore[arg-type]


class TestLooks:
    """How many tokens may pass until one has to look again."""

    def test_much_is_left(self) -> None:
        """Ten seconds of speech where the budget is far away."""
        assert Purse((account("1000"),), Spent()).tokens_until_look(NOW, 64_000) == 200

    def test_little_is_left(self) -> None:
        """Half a second where hardly anything is left, or nothing."""
        of = account("0.001")
        purse = Purse((of,), Spent())
        assert purse.tokens_until_look(NOW, 64_000) == 10
        of.note(NOW, usd("5"))
        assert purse.tokens_until_look(NOW, 64_000) == 10

    def test_in_between(self) -> None:
        """Less than what is left, by far, for text and speech may come and others too."""
        purse = Purse((account(None, tokens=400),), Spent())
        assert purse.tokens_until_look(NOW, 0) == 100

    def test_a_price_that_is_not_known(self) -> None:
        """What costs nothing that is known is looked at now and then."""
        assert Purse((account("0"),), Spent()).tokens_until_look(NOW, 0) == 200

    @given(st.integers(1, 20), st.data())
    def test_together_no_more_than_is_left(self, count: int, data: st.DataObject) -> None:
        """Whoever speaks when, what passed unseen and what was seen are never more than there is.

        But for the ten tokens, of speech and of text, that everybody may take at the very end.
        """
        of = account(None, tokens=20_000)
        purses = [Purse((of,), Spent()) for _ in range(count)]
        seen = [0] * count
        allowed = [purse.tokens_until_look(NOW, 0) for purse in purses]
        for _ in range(60):
            index = data.draw(st.integers(0, count - 1))
            seen[index] += allowed[index]
            purses[index].note_in_progress(Spent(tokens=seen[index]))
            allowed[index] = purses[index].tokens_until_look(NOW, 0)
            unseen = sum(step for step in allowed if step > 10)
            assert sum(seen) + unseen <= 20_000 + 10 * count
