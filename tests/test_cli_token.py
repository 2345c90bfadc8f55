"""The command `token`: what it prints, where, and its exit status."""

import json
import os
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rt_proxy.cli.token import token
from rt_proxy.settings import Budget, Secret
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.token import hash_secret

KEYS = ["id", "name", "created", "expires", "disabled", "models", "default_model",
        "client_dialect", "channels", "transcription_channel", "limits", "budget"]  # fmt: skip
SECRET = r"sk-rt-[A-Za-z0-9_-]{43}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a config.toml whose token file is in a folder beneath."""
    (tmp_path / "state").mkdir()
    (tmp_path / "config.toml").write_text('[tokens]\nfile = "state/tokens.toml"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def file(folder: Path) -> Path:
    """The token file that config.toml names."""
    return folder / "state" / "tokens.toml"


def run(*arguments: str, color: bool = False) -> Result:
    """Run `rt-proxy token` with these arguments."""
    return CliRunner().invoke(token, arguments, color=color, prog_name="rt-proxy token")


def done(*arguments: str) -> Result:
    """Run `rt-proxy token`, and expect that it is done."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def test_add_prints_the_secret_alone(file: Path) -> None:
    """The one line on stdout is a secret that opens; the rest is on stderr."""
    result = done("add", "alice")

    assert re.fullmatch(SECRET + "\n", result.stdout)
    secret = Secret(result.stdout.strip())
    made = FileTokenStore(file).authenticate(secret)
    assert made is not None
    assert (made.name, made.expires, made.models, made.default_model) == ("alice", None, (), None)
    assert made.id in result.stderr
    assert secret.reveal() not in result.stderr


def test_add_with_everything(file: Path) -> None:
    """Options end in the token; a model given twice counts once."""
    models = ("--model", "a", "--model", "b", "--model", "a", "--default-model", "b")

    done("add", "alice", "--expires", "30d", "--client-dialect", "beta", *models,
         "--channel", "x", "--channel", "y", "--transcription-channel", "z")  # fmt: skip

    (made,) = FileTokenStore(file).tokens()
    assert made.expires == made.created + timedelta(days=30)
    assert made.models == ("a", "b")
    assert made.default_model == "b"
    assert made.client_dialect == "beta"
    assert (made.channels, made.transcription_channel) == (("x", "y"), "z")
    assert abs(datetime.now(UTC) - made.created) < timedelta(minutes=5)


def test_add_with_a_budget_and_limits(file: Path) -> None:
    """Money is kept to the last digit, and each limit by its name."""
    done(
        "add", "alice",
        "--budget-usd", "0.10000000000000000001", "--budget-tokens", "7", "--budget-per", "day",
        "--budget-time-zone", "Europe/Berlin",
        "--limit", "sessions=2", "--limit", "session_seconds=1.5",
    )  # fmt: skip
    [made] = FileTokenStore(file).tokens()
    assert made.limits == {"sessions": 2, "session_seconds": 1.5}
    usd = Decimal("0.10000000000000000001")
    assert made.budget == Budget(usd=usd, tokens=7, per="day", time_zone="Europe/Berlin")
    shown = done("show", "alice").stdout
    assert "0.10000000000000000001 USD or 7 tokens per day, Europe/Berlin" in shown
    assert "limits         sessions=2, session_seconds=1.5" in shown
    told = json.loads(done("show", "alice", "--json").stdout)
    assert told["budget"]["usd"] == "0.10000000000000000001"
    assert told["limits"] == {"sessions": 2, "session_seconds": 1.5}


def test_amounts_are_written_in_one_way(file: Path) -> None:
    """A file of TOML has 5.0 for 5; whoever reads it is told 5."""
    done("add", "alice", "--budget-usd", "5", "--budget-per", "day")
    assert "usd = 5" in file.read_text()
    assert "5 USD per day" in done("show", "alice").stdout
    assert json.loads(done("show", "alice", "--json").stdout)["budget"]["usd"] == "5"
    assert "5 USD per day" in done("set", "alice", "--limit", "sessions=1").stderr


def test_what_is_not_there_is_warned_of(file: Path) -> None:
    """A token that can never work is made, for the config may follow, and not without a word."""
    channels = '[[channels]]\nname = "main"\nprovider = "simulator"\nmodels = ["a"]\n'
    Path("config.toml").write_text(f'[tokens]\nfile = "{file}"\n{channels}')
    wishes = ("--channel", "man", "--channel", "main", "--model", "b", "--model", "a")
    told = done("add", "alice", *wishes, "--transcription-channel", "foo").stderr
    warnings = [line for line in told.splitlines() if "warning" in line]
    assert warnings == [
        "rt-proxy: warning: there is no channel 'man'",
        "rt-proxy: warning: there is no channel 'foo'",
        "rt-proxy: warning: no channel serves model 'b'",
    ]
    assert "warning" not in done("add", "bob", "--channel", "main", "--model", "a").stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget-usd", "much"), "is not an amount of USD"),
        (("--budget-usd", "-1"), "must be an amount in USD"),
        (("--budget-usd", "nan"), "must be an amount in USD"),
        (("--budget-tokens", "1.5"), "is not a valid integer"),
        (("--budget-tokens", "-1"), "--budget-tokens: must be from 0"),
        (("--budget-per", "year"), "is not one of"),
        (("--budget-per", "day"), "give --budget-usd or --budget-tokens too"),
        (("--budget-usd", "1", "--budget-time-zone", "Mars"), "must be a time zone"),
        (("--limit", "sesions=1"), "sesions is no limit; known here: sessions"),
        (("--limit", "sessions"), "is not NAME=NUMBER, such as sessions=2"),
        (("--limit", "sessions=1.5"), "must be a whole number"),
        (("--limit", "session_seconds=inf"), "must be a number"),
        (("--limit", "session_seconds=long"), "must be a number"),
        (("--limit", "=3"), "'' is no limit"),
        (("--limit", "sessions=1" + "0" * 400), "must be a whole number"),
    ],
)
def test_wrong_budgets_and_limits(options: tuple[str, ...], words: str, file: Path) -> None:
    """What cannot be is told, with status 2, and nothing is made or changed."""
    result = run("add", "alice", *options)
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
    assert not file.exists()
    done("add", "alice")
    before = file.read_bytes()
    result = run("set", "alice", *options)
    assert result.exit_code == 2
    assert words in result.stderr.replace("\n", " ")
    assert file.read_bytes() == before


def test_limits_are_shown_in_full(file: Path) -> None:
    """No digit of a limit is lost, and a whole number of seconds is written as one."""
    done(
        "add", "alice",
        "--limit", "message_bytes=33554433", "--limit", "session_seconds=1234567",
    )  # fmt: skip
    assert "session_seconds = 1234567\n" in file.read_text()
    shown = done("show", "alice").stdout
    assert "limits         message_bytes=33554433, session_seconds=1234567\n" in shown


def test_set_nothing(file: Path) -> None:
    """A command that would change nothing says so."""
    done("add", "alice")
    before = file.read_bytes()
    result = run("set", "alice")
    assert result.exit_code == 2
    assert "nothing is to change" in result.stderr
    assert file.read_bytes() == before


def test_set_nobody() -> None:
    """Nobody is changed by a name that nobody has, and it is not repeated."""
    result = run("set", "sk-rt-hush", "--no-budget")
    assert result.exit_code == 1
    assert "has that name or id" in result.stderr
    assert "hush" not in result.stderr


def test_set(file: Path) -> None:
    """What is named changes, the rest and the secret stay."""
    secret = Secret(
        done("add", "alice", "--budget-usd", "5", "--limit", "sessions=2").stdout.strip()
    )
    told = done("set", "alice", "--budget-usd", "7.50", "--limit", "message_bytes=9").stderr
    assert "budget  7.50 USD per month\nlimits  sessions=2, message_bytes=9" in told
    found = FileTokenStore(file).authenticate(secret)
    assert found is not None
    assert found.budget == Budget(usd=Decimal("7.50"))
    assert found.limits == {"sessions": 2, "message_bytes": 9}
    done("set", found.id, "--budget-per", "day")
    done("set", found.id, "--no-limits", "--limit", "sessions=1")
    [found] = FileTokenStore(file).tokens()
    assert (found.budget, found.limits) == (
        Budget(usd=Decimal("7.50"), per="day"),
        {"sessions": 1},
    )
    told = done("set", "alice", "--no-budget", "--no-limits").stderr
    assert "none of its own\nlimits  the default of the proxy" in told
    [found] = FileTokenStore(file).tokens()
    assert (found.budget, found.limits) == (None, {})


def test_add_json() -> None:
    """With --json stdout is one object that also has the secret."""
    result = done("add", "日本", "--expires", "1h", "--model", "a", "--json")

    told = json.loads(result.stdout)
    assert list(told) == [*KEYS, "secret"]
    assert re.fullmatch(SECRET, told["secret"])
    assert told["name"] == "日本"
    assert told["models"] == ["a"]
    assert told["default_model"] is None
    assert told["client_dialect"] is None
    assert told["disabled"] is False
    for moment in (told["created"], told["expires"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment)


@pytest.mark.parametrize("revoked", [False, True])
def test_used_name(revoked: bool) -> None:
    """A name already used is refused with status 1, and no secret is printed."""
    done("add", "alice")
    if revoked:
        done("revoke", "alice")

    result = run("add", "alice")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("rt-proxy: name: 'alice' is taken by tok_")
    assert result.stderr.endswith("; choose another name\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add",),
        ("add", "alice", "--expires", "30"),
        ("add", "alice", "--expires", "0d"),
        ("add", "alice", "--expires", "-1d"),
        ("add", "alice", "--expires", "soon"),
        ("add", "alice", "--model", ""),
        ("add", "alice", "--model", "a", "--default-model", "b"),
        ("add", ""),
        ("add", "--", "-x"),
        ("add", "a\nb"),
        ("add", "x" * 65),
        ("add", "alice", "bob"),
        ("show",),
        ("revoke",),
        ("forget", "alice"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], folder: Path) -> None:
    """Wrong arguments are told with status 2, and nothing is made."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert list((folder / "state").iterdir()) == []


def test_list_lines_up() -> None:
    """Columns begin at the same place in each line, also after a wide name."""
    done("add", "a")
    done("add", "日本の電話")
    done("add", "somebody else", "--expires", "1h", "--model", "m1", "--model", "m2")
    done("revoke", "a")

    header, *rows = done("list").stdout.splitlines()

    assert header.split() == ["ID", "NAME", "CREATED", "EXPIRES", "STATE", "MODELS"]
    starts = [header.index(word) for word in header.split()]
    first, wide, last = rows
    assert [first[start - 1] for start in starts[1:]] == [" "] * 5
    assert first[starts[1] :].split("  ")[0] == "a"
    assert re.search(r"  never +revoked  any$", first)
    assert first[starts[4] :].startswith("revoked")
    assert last[starts[1] :].startswith("somebody else  ")
    assert last[starts[4] :].startswith("good     m1, m2")
    assert wide[starts[4] - len("日本の電話") :].startswith("good     any")


def test_list_tells_the_state(file: Path) -> None:
    """A token that has expired is listed as such."""
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    FileTokenStore(file).add("old", now=long_ago, expires=long_ago)

    assert "  2001-01-01T00:00:00Z  expired  any\n" in done("list").stdout
    assert "state          expired\n" in done("show", "old").stdout


def test_list_json() -> None:
    """With --json the list is an array of objects."""
    done("add", "alice")
    done("add", "bob", "--default-model", "m")
    done("revoke", "alice")

    told = json.loads(done("list", "--json").stdout)

    assert [list(each) for each in told] == [KEYS, KEYS]
    assert [each["name"] for each in told] == ["alice", "bob"]
    assert [each["disabled"] for each in told] == [True, False]
    assert [each["expires"] for each in told] == [None, None]
    assert [each["default_model"] for each in told] == [None, "m"]


def test_empty_list(file: Path) -> None:
    """An empty list says on stderr where it looked and how to add a token."""
    result = done("list")

    assert result.stdout == ""
    assert str(file) in result.stderr
    assert "rt-proxy token add NAME" in result.stderr
    assert json.loads(done("list", "--json").stdout) == []


@pytest.mark.parametrize("command", [("list",), ("show", "alice")])
def test_colours_only_on_a_terminal(command: tuple[str, ...]) -> None:
    """What goes into a pipe or a file has no escape sequences."""
    done("add", "alice")

    assert "\x1b[32m" in run(*command, color=True).stdout
    assert "\x1b" not in run(*command, color=False).stdout


@pytest.mark.parametrize("by", ["name", "id"])
def test_show(file: Path, by: str) -> None:
    """A token is shown by its name or its id, for people and as JSON."""
    done("add", "alice", "--model", "a", "--default-model", "a")
    (made,) = FileTokenStore(file).tokens()

    told = done("show", getattr(made, by)).stdout
    for line in (
        f"id             {made.id}",
        "name           alice",
        "state          good",
        "expires        never",
        "models         a",
        "default model  a",
        "dialect        the default of the proxy",
        "channels       any",
        "transcription  the default of the proxy",
    ):
        assert line in told.splitlines()
    described = json.loads(done("show", getattr(made, by), "--json").stdout)
    assert list(described) == KEYS
    assert described["id"] == made.id


def test_secrets_and_hashes_are_never_shown_again() -> None:
    """Neither list nor show nor revoke prints the secret or its hash, in any form."""
    secret = done("add", "alice").stdout.strip()
    commands = (
        ("list",),
        ("list", "--json"),
        ("show", "alice"),
        ("show", "alice", "--json"),
        ("revoke", "alice"),
    )

    for command in commands:
        told = done(*command).output
        assert secret not in told
        assert hash_secret(Secret(secret)) not in told


def test_revoke(file: Path) -> None:
    """A revoked token is disabled and stays; revoking it twice is fine and said."""
    done("add", "alice")

    assert "is revoked" in done("revoke", "alice").stderr
    assert "was revoked already" in done("revoke", "alice").stderr

    (left,) = FileTokenStore(file).tokens()
    assert left.disabled


@pytest.mark.parametrize("command", ["show", "revoke"])
def test_unknown_token(command: str, file: Path) -> None:
    """An unknown name is status 1 and says where to look; a pasted secret is not repeated."""
    result = run(command, "sk-rt-pasted")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert str(file) in result.stderr
    assert "rt-proxy token list" in result.stderr
    assert "sk-rt-pasted" not in result.stderr


@pytest.mark.parametrize(
    "command", [("add", "bob"), ("list",), ("show", "alice"), ("revoke", "alice")]
)
def test_config_option(command: tuple[str, ...], folder: Path) -> None:
    """Each command takes --config; a config that is not there is status 1."""
    other = folder / "other"
    other.mkdir()
    (other / "my.toml").write_text("")
    FileTokenStore(other / "tokens.toml").add("alice", now=datetime.now(UTC))

    done(*command, "--config", "other/my.toml")
    missing = run(*command, "--config", "none.toml")

    assert missing.exit_code == 1
    assert missing.stdout == ""
    assert missing.stderr == (
        "none.toml: there is no such file; make one with rt-proxy init DIR, "
        "or name another with --config FILE\n"
    )
    assert list((folder / "state").iterdir()) == []


def test_hints_name_the_config(folder: Path) -> None:
    """A command to paste has the --config that was given, and none where it is the default."""
    (folder / "my config.toml").write_text("")
    for option, said in ((), ""), (("--config", "my config.toml"), " --config 'my config.toml'"):
        empty = done("list", *option)
        nobody = run("show", "nobody", *option)
        assert empty.stderr.endswith(f"Make one: rt-proxy token add NAME{said}\n")
        assert nobody.stderr.endswith(f"; see: rt-proxy token list{said}\n")


def test_other_problems_of_the_config_do_not_matter(folder: Path) -> None:
    """A token can be made while a key of a provider is not in the environment."""
    key = "SURELY_NOT_SET_ANYWHERE"
    assert key not in os.environ
    channel = f'[[channels]]\nname = "x"\nprovider = "openai"\napi_key = {{ env = "{key}" }}\n'
    (folder / "config.toml").write_text(channel)

    done("add", "alice")


@pytest.mark.parametrize("command", [("add", "a"), ("list",), ("show", "a"), ("revoke", "a")])
def test_broken_token_file(command: tuple[str, ...], file: Path) -> None:
    """A broken token file is status 1, with file, place and reason, and is left as it is."""
    file.write_text("[[tokens]]\nid = 1\n")

    result = run(*command)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"rt-proxy: {file}: tokens[0].id: must be a string" in result.stderr
    assert file.read_text() == "[[tokens]]\nid = 1\n"


def test_missing_folder(folder: Path) -> None:
    """Where the token file cannot be made, the reason is told with status 1."""
    (folder / "config.toml").write_text('[tokens]\nfile = "none/tokens.toml"\n')

    result = run("add", "alice")

    assert result.exit_code == 1
    assert f"no folder {folder / 'none'}" in result.stderr


@pytest.mark.parametrize("command", ["add", "list", "show", "set", "revoke"])
def test_help_has_examples(command: str) -> None:
    """The help of each command ends with lines to try."""
    assert re.search(rf"Examples:\n +rt-proxy token {command}", done(command, "--help").stdout)
