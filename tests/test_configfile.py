"""The config file: TOML in, ``Settings`` out, or every problem at once."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin

import attrs
import pytest
import tomli_w

from rt_proxy import configfile
from rt_proxy.configfile import load_settings, load_tokens_settings, load_usage_settings
from rt_proxy.errors import SettingsError
from rt_proxy.fieldtypes import wrong_types
from rt_proxy.settings import (
    ChannelSettings,
    KeySource,
    ListenSettings,
    LogSettings,
    PriceSettings,
    Secret,
    Settings,
    Timeouts,
    TlsSettings,
    TokensSettings,
    UsageSettings,
)

CHANNEL = '[[channels]]\nname = "s"\nprovider = "simulator"\nmodels = ["*"]\n'

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that writes a config file and loads it."""

    def load(content: str | bytes, environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "config.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_settings(path, environ or {})

    return load


def problems(load: Load, content: str | bytes) -> tuple[str, ...]:
    """Return what is said to be wrong with a config file."""
    with pytest.raises(SettingsError) as caught:
        load(content)
    return caught.value.problems


class TestGood:
    """What is right is loaded as it is meant."""

    def test_least(self, load: Load, tmp_path: Path) -> None:
        """One channel is enough, and everything else has its default."""
        assert load(CHANNEL) == Settings(
            channels=(ChannelSettings(name="s", provider="simulator", models={"*": "*"}),),
            tokens=TokensSettings(file=tmp_path / "tokens.toml"),
        )

    def test_everything(self, load: Load, tmp_path: Path) -> None:
        """Every section lands in its place, with its type."""
        settings = load(
            """
            default_model = "m"
            refusals = "http"
            [listen]
            host = "::"
            port = 443
            tls = { cert = "tls/cert.pem", key = "/key.pem" }
            origins = ["https://a.example"]
            trusted_proxies = ["10.0.0.0/8"]
            [tokens]
            file = "../t.toml"
            [usage]
            [[channels]]
            name = "azure"
            provider = "azure"
            endpoint = "https://a.example"
            api_version = "v"
            api_key = { env = "KEY" }
            models = { m = "deployment" }
            priority = -3
            weight = 2
            dialect = "beta"
            auth = "bearer"
            first_event = false
            [timeouts]
            head = 1
            dial = 0.5
            [log]
            format = "json"
            level = "debug"
            [prices."gpt-x.1"]
            text_in = 4
            """,
            {"KEY": "hush"},
        )

        assert settings == Settings(
            default_model="m",
            refusals="http",
            listen=ListenSettings(
                host="::",
                port=443,
                tls=TlsSettings(cert=tmp_path / "tls/cert.pem", key=Path("/key.pem")),
                origins=("https://a.example",),
                trusted_proxies=("10.0.0.0/8",),
            ),
            tokens=TokensSettings(file=tmp_path / "../t.toml"),
            usage=UsageSettings(file=tmp_path / "usage.db"),
            channels=(
                ChannelSettings(
                    name="azure",
                    provider="azure",
                    endpoint="https://a.example",
                    api_version="v",
                    api_key=Secret("hush"),
                    models={"m": "deployment"},
                    priority=-3,
                    weight=2,
                    dialect="beta",
                    auth="bearer",
                    first_event=False,
                ),
            ),
            timeouts=Timeouts(head=1, dial=0.5),
            log=LogSettings(format="json", level="debug"),
            prices={"gpt-x.1": PriceSettings(text_in=4)},
        )
        assert "hush" not in repr(settings)

    def test_paths_do_not_depend_on_the_working_folder(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative config file gives absolute paths, from its own folder."""
        load(CHANNEL)
        monkeypatch.chdir(tmp_path.parent)
        settings = load_settings(f"{tmp_path.name}/config.toml")

        assert settings.tokens.file == tmp_path / "tokens.toml"

    def test_process_environment(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without another one the environment of the process is asked."""
        monkeypatch.setenv("KEY", "hush")
        (tmp_path / "config.toml").write_text(
            '[[channels]]\nname = "o"\nprovider = "openai"\nmodels = ["m"]\n'
            'api_key = { env = "KEY" }\n'
        )

        assert load_settings(tmp_path / "config.toml").channels[0].api_key == Secret("hush")

    def test_byte_order_mark(self, load: Load) -> None:
        """What some editors put in front of a text is no mistake."""
        assert load(b"\xef\xbb\xbf" + CHANNEL.encode()).channels[0].name == "s"

    def test_values_are_frozen(self, load: Load) -> None:
        """Mappings in the settings cannot be changed either."""
        settings = load(CHANNEL + "[prices.m]\n")

        for mapping in (settings.channels[0].models, settings.prices):
            with pytest.raises(TypeError):
                mapping["x"] = "y"  # type: ignore[index]


class TestFile:
    """What is wrong with the file as a whole."""

    def test_missing(self, tmp_path: Path) -> None:
        """A missing file is named, and how to make one."""
        with pytest.raises(SettingsError) as caught:
            load_settings(tmp_path / "no.toml")

        assert str(caught.value) == (
            f"{tmp_path}/no.toml: there is no such file; make one with rt-proxy init DIR, "
            "or name another with --config FILE"
        )

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("[log]\n[log]\n", "Cannot declare [log] twice (at line 2, column 5)"),
            (
                "[listen.tls]\n[listen.tls]",
                "Cannot declare [listen.tls] twice (at line 2, column 12)",
            ),
            ('["it\'s"]\n["it\'s"]', "Cannot declare [it's] twice (at line 2, column 8)"),
        ],
    )
    def test_table_twice(self, load: Load, content: str, problem: str) -> None:
        """A table that is there twice is named as in the file."""
        assert problems(load, content) == (f"is not valid TOML: {problem}",)

    def test_folder(self, tmp_path: Path) -> None:
        """What cannot be read is named with the reason."""
        with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
            load_settings(tmp_path)

    @pytest.mark.parametrize(
        ("content", "where"),
        [
            ("a = \n", "line 1, column 5"),
            ("\n\n[listen\n", "line 3, column 8"),
            ("a = 1\na = 2\n", "line 2, column 6"),
            ("a = [1,\n  2", "line 2, column 4, the end of the file"),
            ('a = """x\n', "line 2, column 1, the end of the file"),
        ],
    )
    def test_syntax(self, load: Load, content: str, where: str) -> None:
        """Broken TOML is told with line and column, at the end of the file too."""
        [problem] = problems(load, content)

        assert problem.startswith("is not valid TOML: ")
        assert problem.endswith(f"(at {where})")

    def test_not_utf8(self, load: Load) -> None:
        """Another encoding is told with its line."""
        assert problems(load, b"a = 1\nb = '\xff'") == ("is not UTF-8 text, in line 2",)

    def test_deep(self, load: Load) -> None:
        """Nesting without end is a problem, not a crash."""
        assert problems(load, "a = " + "[" * 100_000) == ("is nested too deep",)

    def test_huge_number(self, load: Load) -> None:
        """A number of thousands of digits is a problem, not a crash."""
        [problem] = problems(load, "a = " + "1" * 10_000)

        assert problem.startswith("is not valid TOML: ")


class TestPlaces:
    """Each mistake has its place, counted from 0 and written as TOML does."""

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("[[channels]]", "channels[1].name: is required"),
            ("[[channels]]", "channels[1].provider: is required"),
            ("[[channels]]", "channels[1].models: is required"),
            ("[listen]\nport = true", "listen.port: must be an integer, not a boolean"),
            ("[listen]\ntls = {}", "listen.tls.cert: is required"),
            ("[listen]\norigins = [1]", "listen.origins[0]: must be a string, not an integer"),
            ("listen = 1", "listen: must be a table, not an integer"),
            ("[prices]\nm = 1", "prices.m: must be a table, not an integer"),
            (
                '[prices."a.b"]\ntext_in = "1"',
                'prices."a.b".text_in: must be a number, not a string',
            ),
            ("[usage]\nfile = 1", "usage.file: must be a string, not an integer"),
            ("[limits]\nsessions = -1", "limits.sessions: must not be negative; 0 switches it off"),
        ],
    )
    def test_place(self, load: Load, content: str, problem: str) -> None:
        """The place is that of the value, in any depth."""
        sections, channel = (content, "") if "channels" not in content else ("", content)
        top = sections if not sections.startswith("[") else ""
        rest = sections.removeprefix(top)

        assert problem in problems(load, f"{top}\n{CHANNEL}\n{channel}\n{rest}\n")

    def test_unknown_settings(self, load: Load) -> None:
        """An unknown setting is a mistake, and the nearest known one is suggested."""
        assert problems(load, f'{CHANNEL}wieght = 1\n[Limits]\n[log]\nzzz = "hush"\n') == (
            "channels[0].wieght: unknown setting; did you mean weight?",
            "Limits: unknown setting; did you mean limits?",
            "log.zzz: unknown setting; known here: format, level",
        )

    def test_a_setting_of_the_top(self, load: Load) -> None:
        """A setting that stands below a section is told where it belongs."""
        where = "unknown setting; it belongs at the top of the file, before the first [section]"
        assert problems(
            load, f'{CHANNEL}client_dialect = "beta"\n[log]\ndefault_model = "m"\n'
        ) == (
            f"channels[0].client_dialect: {where}",
            f"log.default_model: {where}",
        )

    def test_order_of_the_file(self, load: Load) -> None:
        """Problems come as their places do in the file, whatever finds them; the missing last."""
        text = (
            '[limits]\nsessions = -1\nhead_bytes = "1"\n'
            '[[channels]]\nname = "a b"\nprovider = "openai"\nmodels = []\n'
            '[prices."a.b"]\ntext_in = -1\n[listen]\nport = "1"\n'
        )
        places = [problem.partition(": ")[0] for problem in problems(load, text)]

        assert places == [
            "limits.sessions", "limits.head_bytes",
            "channels[0].api_key", "channels[0].name", "channels[0].models",
            'prices."a.b".text_in', "listen.port",
        ]  # fmt: skip

    def test_inspection(self, tmp_path: Path) -> None:
        """What an inspection finds is told with the rest, but not where a mistake is already."""
        path = tmp_path / "config.toml"
        path.write_text(f'[tokens]\nfile = 5\n{CHANNEL}[listen]\nport = "1"\n')

        with pytest.raises(SettingsError) as caught:
            load_settings(path, {}, inspect=lambda _: ("channels[0]: bad", "tokens.file: bad"))

        assert caught.value.problems == (
            "tokens.file: must be a string, not an integer",
            "channels[0]: bad",
            "listen.port: must be an integer, not a string",
        )

    def test_no_channels(self, load: Load) -> None:
        """Without a channel there is nothing to do; that is one problem, in any form."""
        needed = ("channels: there is none; at least one [[channels]] is needed",)

        assert problems(load, "") == problems(load, "channels = []") == needed
        assert problems(load, "channels = 5") == ("channels: must be an array, not an integer",)
        assert problems(load, "[channels]\nname = 'a'") == (
            "channels: must be an array of tables: write [[ ]] around its name, not [ ]",
        )
        assert problems(load, "channels = [5]") == ("channels[0]: must be a table, not an integer",)

    def test_provider_rules(self, load: Load) -> None:
        """What a provider asks of its channel is checked, with the place of the channel."""
        content = f'{CHANNEL}[[channels]]\nname = "c"\nprovider = "compatible"\nmodels = ["m"]\n'
        found = [problem.partition(": ")[0] for problem in problems(load, content)]

        assert sorted(found) == ["channels[1].api_key", "channels[1].base_url"]

    @pytest.mark.parametrize("scheme", ["https", "http", "wss", "ws"])
    def test_url_schemes(self, load: Load, scheme: str) -> None:
        """Four schemes are good, and another one is not."""
        content = (
            CHANNEL.replace("simulator", "compatible") + 'auth = "none"\nbase_url = "{}://h"\n'
        )
        [problem] = problems(load, content.format("ftp"))

        assert load(content.format(scheme)).channels[0].base_url == f"{scheme}://h"
        assert problem.startswith("channels[0].base_url: ")

    def test_fault(self, load: Load) -> None:
        """A fault that the simulator does not know is a mistake of the file."""
        [problem] = problems(load, f'{CHANNEL}fault = "explode"\n')

        assert load(f'{CHANNEL}fault = "close=1011"\n').channels[0].fault == "close=1011"
        assert problem.startswith("channels[0].fault: ")


class TestAllAtOnce:
    """No mistake hides another."""

    def test_types_and_rules(self, load: Load) -> None:
        """Wrong types, missing things and broken rules are told together, each place once."""
        found = problems(
            load,
            """
            models = ["x"]
            default_model = "m"
            [listen]
            port = 99999
            tls = { key = 1 }
            origins = [5, "*"]
            [limits]
            parsed_bytes = "4"
            message_bytes = 100
            [timeouts]
            send_stall = 16
            [[channels]]
            name = "a"
            provider = "opneai"
            models = { m = "m" }
            weight = 0
            [[channels]]
            name = "a"
            provider = "openai"
            api_key = { env = "NOT_SET" }
            models = ["other"]
            """,
        )

        assert sorted(problem.partition(": ")[0] for problem in found) == [
            "channels[0].provider",
            "channels[0].weight",
            "channels[1].api_key",
            "channels[1].name",
            "limits.parsed_bytes",
            "listen.origins[0]",
            "listen.origins[1]",
            "listen.port",
            "listen.tls.cert",
            "listen.tls.key",
            "models",
            "timeouts.send_stall",
        ]

    def test_no_problems_follow_from_a_mistake(self, load: Load) -> None:
        """What cannot be read is told as that, and nothing is made up about it."""
        assert problems(load, 'default_model = "m"\nchannels = [{}, 1]\n') == (
            "channels[0].name: is required",
            "channels[0].provider: is required",
            "channels[0].models: is required",
            "channels[1]: must be a table, not an integer",
        )

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ('[budget]\ntokens = "x"\n', "budget.tokens: must be an integer, not a string"),
            (
                '[[prices.m]]\n[[prices.m]]\nvalid_from = "2026-12-01"\n',
                "prices.m[1].valid_from: must be a date, not a string",
            ),
            ("[prices]\nm = [{}, 2]\n", "prices.m[1]: must be a table, not an integer"),
            (
                "[channels.prices]\nm = [{}, 2]\n",
                "channels[0].prices.m[1]: must be a table, not an integer",
            ),
        ],
    )
    def test_a_mistake_in_money_is_told_alone(self, load: Load, content: str, problem: str) -> None:
        """A budget still has its amount, a price is not the same as another, the rest is told."""
        rule = "channels[0].weight: must be at least 1, not 0; a lower priority makes a reserve"
        assert problems(load, CHANNEL + "weight = 0\n" + content) == (rule, problem)

    def test_an_unknown_provider_asks_for_nothing(self, load: Load) -> None:
        """Without a known provider only what every provider would say is said."""
        content = CHANNEL.replace("simulator", "custom") + 'base_url = "wss://h"\nweight = 0\n'
        found = [problem.partition(": ")[0] for problem in problems(load, content)]

        assert found == ["channels[0].provider", "channels[0].weight"]

    def test_every_required_setting_has_a_stand_in(self) -> None:
        """Whatever is missing, the rest can still be checked."""
        required = [
            (*place, field.name)
            for place, kind in [
                (("channels", 0), ChannelSettings),
                (("listen", "tls"), TlsSettings),
                ((), Settings),
            ]
            for field in attrs.fields(kind)
            if field.default is attrs.NOTHING
        ]

        assert len(required) == 6
        assert all(configfile._stand_in(place) is not None for place in required)


class TestTokensOnly:
    """The token commands read one section."""

    def test_ignores_the_rest(self, tmp_path: Path) -> None:
        """A key that is not set does not keep anyone from revoking a token."""
        path = tmp_path / "config.toml"
        path.write_text('[tokens]\nfile = "t.toml"\n[[channels]]\nwrong = true\n')

        assert load_tokens_settings(path) == TokensSettings(file=tmp_path / "t.toml")

    def test_default(self, tmp_path: Path) -> None:
        """Without the section the file is beside the config file."""
        path = tmp_path / "config.toml"
        path.write_text("")

        assert load_tokens_settings(path) == TokensSettings(file=tmp_path / "tokens.toml")

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("tokens = 1", "tokens: must be a table, not an integer"),
            ("[tokens]\nfile = 1", "tokens.file: must be a string, not an integer"),
            ('[tokens]\nfile = ""', "tokens.file: must not be empty"),
            ("[tokens]\nfiel = 1", "tokens.fiel: unknown setting; did you mean file?"),
        ],
    )
    def test_strict(self, tmp_path: Path, content: str, problem: str) -> None:
        """The section itself is held to its types and names."""
        path = tmp_path / "config.toml"
        path.write_text(content)

        with pytest.raises(SettingsError) as caught:
            load_tokens_settings(path)
        assert caught.value.problems == (problem,)

    def test_missing(self, tmp_path: Path) -> None:
        """A missing config file is told as everywhere."""
        with pytest.raises(SettingsError, match="rt-proxy init"):
            load_tokens_settings(tmp_path / "no.toml")


class TestUsageSettings:
    """The section [usage] alone, for commands that need nothing else."""

    def test_present(self, tmp_path: Path) -> None:
        """It is read as it is, whatever is wrong elsewhere; the file is taken from the folder."""
        path = tmp_path / "config.toml"
        path.write_text('nonsense = 1\n[usage]\nfile = "u.db"\nsync = 0.5\n')
        assert load_usage_settings(path) == UsageSettings(file=tmp_path / "u.db", sync=0.5)

    def test_absent(self, tmp_path: Path) -> None:
        """A config without it has no ledger."""
        path = tmp_path / "config.toml"
        path.write_text("")
        assert load_usage_settings(path) is None

    def test_wrong(self, tmp_path: Path) -> None:
        """What is wrong in it is told with its place."""
        path = tmp_path / "config.toml"
        path.write_text("[usage]\nsync = true\n")
        with pytest.raises(SettingsError) as caught:
            load_usage_settings(path)
        assert caught.value.problems == ("usage.sync: must be a number, not a boolean",)


class TestMoney:
    """Amounts of money are read as they are written."""

    def test_to_the_last_digit(self, load: Load) -> None:
        """No digit is lost that a float cannot hold, in prices and in budgets."""
        settings = load(
            CHANNEL
            + "[budget]\nusd = 0.10000000000000000001\n"
            + '[prices.m]\naudio_in = 123456.78901234567890\n[[prices."a.b"]]\ntext_in = 1\n'
            + '[[prices."a.b"]]\nvalid_from = 2026-12-01\ntext_in = 2\n'
        )
        assert settings.budget is not None
        assert str(settings.budget.usd) == "0.10000000000000000001"
        assert str(settings.prices["m"][0].audio_in) == "123456.78901234567890"
        assert [price.valid_from for price in settings.prices["a.b"]] == [None, date(2026, 12, 1)]

    def test_of_a_channel(self, load: Load) -> None:
        """A channel may have prices of its own."""
        settings = load(CHANNEL + '[channels.prices."m"]\ntext_in = 0\n')
        assert settings.channels[0].prices["m"] == (PriceSettings(text_in=0),)

    def test_no_other_number_is_a_decimal(self, load: Load) -> None:
        """Seconds that are written with a point are the floats that they are."""
        settings = load(CHANNEL + "[timeouts]\nhead = 1.5\n[usage]\nsync = 0.5\n")
        assert type(settings.timeouts.head) is float
        assert settings.usage is not None
        assert type(settings.usage.sync) is float

    def test_every_number_with_a_point(self, load: Load) -> None:
        """Each setting that may have a point is a float, and none but money is a Decimal."""
        document: dict[str, object] = {"usage": {}, "health": {}, "limits": {}, "timeouts": {}}
        channel = {"name": "s", "provider": "compatible", "base_url": "wss://up.test/v1"}
        document["channels"] = [channel | {"models": ["*"], "api_key_from": {"file": "key"}}]
        places = list(_float_settings(Settings, ()))
        for place in places:
            table: Any = document
            for step in place[:-1]:
                table = table[step] if isinstance(step, int) else table.setdefault(step, {})
            table[place[-1]] = 1.5
        settings = load(tomli_w.dumps(document))

        assert len(places) > 20  # the timeouts alone are so many
        for place in places:
            value: Any = settings
            for step in place:
                value = value[step] if isinstance(step, int) else getattr(value, step)
            assert (type(value), value) == (float, 1.5), place
        assert list(wrong_types(settings)) == []

    @pytest.mark.parametrize(
        "setting", ["usage.sync", "timeouts.drain", "limits.per_token.session_seconds"]
    )
    @pytest.mark.parametrize("value", ["nan", "inf", "1e999", "1" + "0" * 400, "1e" + "9" * 20])
    def test_no_number(self, load: Load, setting: str, value: str) -> None:
        """Nor may any other number be none, or one that no float can hold."""
        assert problems(load, f"{setting} = {value}\n" + CHANNEL) == (
            f"{setting}: must be a finite number",
        )

    @pytest.mark.parametrize(
        "value", ["nan", "inf", "-inf", "true", '"1"', "[1]", "1e" + "9" * 20, "1e-" + "9" * 20]
    )
    def test_no_money(self, load: Load, value: str) -> None:
        """What is no finite number is none."""
        with pytest.raises(SettingsError, match=r"budget\.usd: must be a (finite )?number"):
            load(CHANNEL + f"[budget]\nusd = {value}\n")


def _float_settings(kind: Any, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of every setting that is a float; of arrays that of the first item."""
    for field in attrs.fields(kind):
        inner: tuple[str | int, ...] = (*place, field.name)
        kinds = get_args(field.type)
        if field.type is float:
            yield inner
        elif attrs.has(field.type):
            yield from _float_settings(field.type, inner)
        elif kinds and attrs.has(kinds[0]) and kinds[0] is not Secret:
            is_array = get_origin(field.type) is tuple
            yield from _float_settings(kinds[0], (*inner, 0) if is_array else inner)


class TestChannelSettings:
    """What a channel can have beside its name, its models and its key."""

    def test_in_their_places(self, load: Load, tmp_path: Path) -> None:
        """Every setting of a channel lands in its place, with its type."""
        settings = load(
            """
            [[channels]]
            name = "several"
            provider = "openai"
            models = ["m"]
            api_keys = ["hush-too", { env = "KEY" }]
            max_sessions = 3
            transcription = false
            mcp = true
            drop_fields = ["tracing", "audio.input.noise_reduction"]
            path = "/voice"
            model_parameter = ""
            session_parameter = "sid"
            transcription_url = "neither"
            close_codes = { 4001 = "key" }
            headers = { "X-A" = "hush hush", "X.B" = { env = "KEY" } }
            [[channels]]
            name = "command"
            provider = "azure-voice-live"
            endpoint = "https://a.example"
            models = ["m"]
            api_key_from = { command = ["token", "--of", "hush"], seconds = 60 }
            [[channels]]
            name = "file"
            provider = "inworld"
            models = ["m"]
            auth = "basic"
            api_key_from = { file = "token" }
            """,
            {"KEY": "hush"},
        )

        assert settings.channels == (
            ChannelSettings(
                name="several",
                provider="openai",
                models={"m": "m"},
                api_keys=(Secret("hush-too"), Secret("hush")),
                max_sessions=3,
                transcription=False,
                mcp=True,
                drop_fields=("tracing", "audio.input.noise_reduction"),
                path="/voice",
                model_parameter="",
                session_parameter="sid",
                transcription_url="neither",
                close_codes={4001: "key"},
                headers={"X-A": Secret("hush hush"), "X.B": Secret("hush")},
            ),
            ChannelSettings(
                name="command",
                provider="azure-voice-live",
                endpoint="https://a.example",
                models={"m": "m"},
                api_key_from=KeySource(command=("token", "--of", "hush"), seconds=60),
            ),
            ChannelSettings(
                name="file",
                provider="inworld",
                models={"m": "m"},
                auth="basic",
                api_key_from=KeySource(file=tmp_path / "token"),
            ),
        )
        assert "hush" not in repr(settings)

    @pytest.mark.parametrize(
        ("setting", "problem"),
        [
            ('api_keys = "k"', "channels[0].api_keys: must be an array, not a string"),
            *(
                (
                    f'api_key = "{text}"',
                    (
                        'channels[0].api_key: is no key: write { env = "OPENAI_API_KEY" } '
                        "for the variable OPENAI_API_KEY"
                    ),
                )
                for text in ("$OPENAI_API_KEY", "${OPENAI_API_KEY}", "env:OPENAI_API_KEY")
            ),
            ("api_key_from = []", "channels[0].api_key_from: must be a table, not an array"),
            (
                'api_key_from = { comand = ["c"] }',
                "channels[0].api_key_from.comand: unknown setting; did you mean command?",
            ),
            (
                'api_key_from = { file = "", seconds = 1 }',
                "channels[0].api_key_from.file: must not be empty",
            ),
            (
                'api_key_from = { file = "f", seconds = "1" }',
                "channels[0].api_key_from.seconds: must be a number, not a string",
            ),
            (
                'headers = { "X.A" = "hush " }',
                (
                    'channels[0].headers."X.A": the value has characters that an HTTP header '
                    "cannot carry"
                ),
            ),
            (
                'headers = { "X.A" = { env = "NOT_SET" } }',
                'channels[0].headers."X.A": environment variable NOT_SET is not set',
            ),
            (
                'close_codes = { 4001 = "hush" }',
                (
                    "channels[0].close_codes.4001: must be one of "
                    '"key", "request", "model", "load", "age"'
                ),
            ),
            (
                'close_codes = { hush = "key" }',
                'channels[0].close_codes: "hush" is no close code; write a number such as 4001',
            ),
            (
                'headers = { Host = "hush" }',
                "channels[0].headers.Host: belongs to the handshake, which rt-proxy makes itself",
            ),
            ("max_sessions = 1.5", "channels[0].max_sessions: must be an integer, not a float"),
            ('mcp = "no"', "channels[0].mcp: must be a boolean, not a string"),
            ('drop_fields = "a"', "channels[0].drop_fields: must be an array, not a string"),
        ],
    )
    def test_mistakes(self, load: Load, setting: str, problem: str) -> None:
        """A mistake in one of them is told with its place, and its value is not."""
        assert problem in problems(load, f"{CHANNEL}{setting}\n")

    def test_a_broken_key_among_several(self, load: Load) -> None:
        """Of several keys the one that cannot be read is told."""
        assert problems(load, CHANNEL + 'api_keys = ["hush", { env = "NOT_SET" }]\n') == (
            "channels[0].api_keys[1]: environment variable NOT_SET is not set",
        )

    def test_a_good_provider_name_is_proposed(self, load: Load) -> None:
        """A provider that is misspelled is guessed."""
        [problem] = problems(load, CHANNEL.replace("simulator", "azure-voicelive"))

        assert problem.endswith('did you mean "azure-voice-live"?')
