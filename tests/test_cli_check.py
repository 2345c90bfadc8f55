"""``rt-proxy check``: would ``serve`` start with this config file?"""

import errno
import os
import ssl
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from rt_proxy.cli.check import check
from rt_proxy.usage.schema import open_to_write

GOOD = """
[[channels]]
name = "simulator"
provider = "simulator"
models = ["a", "b"]

[[channels]]
name = "openai"
provider = "openai"
api_key = { env = "OPENAI_API_KEY" }
models = ["b", "c"]
"""
TLS = '[listen]\ntls = { cert = "cert.pem", key = "key.pem" }\n'


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush")


def run(content: str, *arguments: str) -> Result:
    """Run ``rt-proxy check`` in the folder of a config file with this content."""
    Path("config.toml").write_text(content)
    return CliRunner().invoke(check, arguments)


def assert_problems(result: Result, *problems: str) -> None:
    """Hold that exactly these lines were printed, on stderr."""
    assert result.stdout == ""
    assert result.stderr.splitlines() == [f"config.toml: {problem}" for problem in problems]
    assert result.exit_code == 1


def write_certificate(name: str = "proxy.example.com") -> trustme.LeafCert:
    """Write a certificate and its key."""
    leaf = trustme.CA().issue_cert(name)
    leaf.private_key_pem.write_to_path("key.pem")
    leaf.cert_chain_pems[0].write_to_path("cert.pem")
    return leaf


def test_ok() -> None:
    """One line on stdout says what the settings amount to, and the status is 0."""
    result = run(GOOD)

    assert result.stdout == (
        "config.toml: ok, 2 channels, 3 models, would listen on 127.0.0.1:8080\n"
    )
    assert result.stderr == ""
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("models", "said"),
    [('["*"]', "any model"), ('["a"]', "1 model"), ('["a", "*"]', "1 model and any other model")],
)
def test_counts_models(models: str, said: str) -> None:
    """A star is no model, but means any."""
    result = run(
        f'[[channels]]\nname = "s"\nprovider = "simulator"\nmodels = {models}\n'
        '[listen]\nhost = "::"\nport = 80\n'
    )

    assert result.stdout == f"config.toml: ok, 1 channel, {said}, would listen on [::]:80\n"


def test_every_problem_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """All problems are printed at once, each with the file and its place."""
    monkeypatch.delenv("OPENAI_API_KEY")
    result = run(GOOD + '[listen]\nport = "8080"\n')

    assert_problems(
        result,
        "channels[1].api_key: environment variable OPENAI_API_KEY is not set",
        "listen.port: must be an integer, not a string",
    )


def test_files_are_not_left_for_later() -> None:
    """What is wrong with TLS files and the token file is told along with the rest, in its place."""
    Path("tokens.toml").write_text("nonsense")
    head = TLS + 'port = "8080"\n[tokens]\nfile = "tokens.toml"\n'
    lines = run(head + GOOD.replace('"simulator"\nmodels', '"nobody"\nmodels')).stderr.splitlines()

    assert [line.split(": ")[1] for line in lines] == [
        "listen.tls.cert", "listen.tls.key", "listen.port", "tokens.file", "channels[0].provider",
    ]  # fmt: skip


def test_config_option() -> None:
    """Another file is checked, and named as it was given."""
    Path("folder").mkdir()
    Path("folder/other.toml").write_text("nonsense")
    result = run(GOOD, "--config", "folder/other.toml")

    assert result.stderr.startswith("folder/other.toml: is not valid TOML: ")
    assert result.exit_code == 1


def test_no_config_file() -> None:
    """A missing file is one line that says how to make one, and no wrong argument."""
    result = CliRunner().invoke(check, [])

    assert_problems(
        result,
        "there is no such file; make one with rt-proxy init DIR, "
        "or name another with --config FILE",
    )


def test_a_config_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a mistake like others, and no wrong argument, which systemd would try again."""

    def deny(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # whoever runs the tests may be root
    monkeypatch.setattr(Path, "read_bytes", deny)
    assert_problems(run(GOOD), "cannot be read: Permission denied")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--live", "--explain", "a"], "give --live or --explain, not both"),
        (["--json"], "--json goes with --live or --explain"),
        (["--transcription"], "--transcription goes with --live or --explain"),
        (["--live", "--token", "alice"], "--token goes with --explain"),
        (["--explain", "a", "--model", "b"], "--model goes with --live"),
        (["--live", "--model", "a", "--transcription"], "name no model; leave out --model"),
        (["--live", "--model", ""], "it must not be empty"),
        (["--explain", "a\x1b[2J"], "it must not have control characters"),
        (["--live", "--model", "\udcff"], "it must not have control characters"),
    ],
)
def test_wrong_arguments(arguments: list[str], problem: str) -> None:
    """Options without a meaning are refused with status 2, before anything is read."""
    result = run("nonsense", *arguments)

    assert problem in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")


class TestLedger:
    """The ledger that serve would open or make."""

    @pytest.mark.parametrize(
        ("file", "problem"),
        [
            ("folder", "is a folder"),
            (
                "none/usage.db",
                "cannot be kept in its folder, which is not there or not writable",
            ),
            (
                "text/usage.db",
                "cannot be kept in its folder, which is not there or not writable",
            ),
        ],
    )
    def test_nowhere_to_keep_it(self, file: str, problem: str) -> None:
        """What serve would stop at is a problem with its place."""
        Path("folder").mkdir()
        Path("text").write_text("no folder")

        assert_problems(
            run(GOOD + f'[usage]\nfile = "{file}"\n'),
            f"usage.file: {Path.cwd()}/{file} {problem}",
        )

    def test_something_else(self) -> None:
        """A file that SQLite did not make is told, and one that is empty is taken."""
        Path("usage.db").write_text("junk")
        assert_problems(
            run(GOOD + "[usage]\n"),
            f"usage.file: {Path.cwd()}/usage.db is no usage ledger; name another file, or move "
            "that one away",
        )
        Path("usage.db").write_text("")
        assert run(GOOD + "[usage]\n").exit_code == 0

    def test_may_not_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of somebody else is told; asked of the system, as root may write any."""
        Path("usage.db").touch()
        monkeypatch.setattr("os.access", lambda path, _mode: Path(path).name != "usage.db")

        assert_problems(
            run(GOOD + "[usage]\n"),
            f"usage.file: {Path.cwd()}/usage.db may not be read and written",
        )

    def test_is_left_alone(self) -> None:
        """A ledger that is there, or can be made, is good, and no file is made beside it."""
        assert run(GOOD + "[usage]\n").exit_code == 0
        open_to_write(Path("usage.db")).close()

        assert run(GOOD + "[usage]\n").exit_code == 0
        assert {path.name for path in Path.cwd().iterdir()} == {"config.toml", "usage.db"}


TOKENS = """
[[tokens]]
id = "tok_1"
name = "alice"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
created = 2026-01-31T12:00:00Z
"""


def test_tokens_that_no_channel_serves() -> None:
    """What a token names and no channel has is warned of, once each; all is well nevertheless."""
    Path("tokens.toml").write_text(
        TOKENS + 'channels = ["openai", "opnai"]\ntranscription_channel = "opnai"\n'
        'models = ["a", "d", "*"]\ndefault_model = "d"\n'
    )
    result = run(GOOD)

    place = Path("tokens.toml").absolute()
    assert result.stderr.splitlines() == [
        f"{place}: warning: alice (tok_1): there is no channel 'opnai'",
        f"{place}: warning: alice (tok_1): no channel serves model 'd'",
    ]
    assert result.stdout.startswith("config.toml: ok, ")
    assert result.exit_code == 0


@pytest.mark.parametrize("more", ["disabled = true", "expires = 2026-01-31T12:00:01Z"])
def test_tokens_that_let_nobody_in(more: str) -> None:
    """A token that is revoked or has expired may name what was there once."""
    Path("tokens.toml").write_text(TOKENS + f'models = ["d"]\n{more}\n')

    assert run(GOOD).stderr == ""


def test_tokens_where_any_model_is_served() -> None:
    """Where a channel takes any model, a token may name any; a channel must still be there."""
    Path("tokens.toml").write_text(TOKENS + 'models = ["d"]\nchannels = ["none"]\n')
    [line] = run(GOOD.replace('["a", "b"]', '["*"]')).stderr.splitlines()

    assert line.endswith("alice (tok_1): there is no channel 'none'")


def test_help() -> None:
    """The help has examples, and the exit statuses of each way."""
    text = " ".join(CliRunner().invoke(check, ["--help"]).stdout.split())

    for words in (
        "rt-proxy check --live rt-proxy check",
        "rt-proxy check --explain gpt-realtime-2.1 --token alice",
        "--explain [MODEL]",
        "130 stopped with Ctrl-C",
    ):
        assert words in text


@pytest.mark.parametrize("option", ["--live", "--explain"])
def test_problems_come_first(option: str) -> None:
    """With a config that is wrong nothing is dialled or explained."""
    result = run(GOOD + "weight = 0\n", option)

    assert result.stderr.startswith("config.toml: channels[1].weight: must be at least 1")
    assert (result.exit_code, result.stdout) == (1, "")


def test_changes_nothing(tmp_path: Path) -> None:
    """No token file and nothing else is made."""
    run(GOOD)

    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


class TestTls:
    """The certificate and key that serve would load."""

    def test_matching(self) -> None:
        """A certificate and its key are good."""
        write_certificate()

        assert run(GOOD + TLS).exit_code == 0

    def test_missing(self) -> None:
        """Files that cannot be read are named, both."""
        here = Path.cwd()

        assert_problems(
            run(GOOD + TLS),
            f"listen.tls.cert: {here}/cert.pem cannot be read: No such file or directory",
            f"listen.tls.key: {here}/key.pem cannot be read: No such file or directory",
        )

    def test_not_pem(self) -> None:
        """A file of another kind is told from one that is missing."""
        write_certificate()
        Path("cert.pem").write_bytes(b"\x30\x82")
        [line] = run(GOOD + TLS).stderr.splitlines()

        assert line.endswith("cert.pem is no PEM file with BEGIN CERTIFICATE")

    def test_broken_pem(self) -> None:
        """The right frame around nonsense is noticed too."""
        write_certificate()
        Path("cert.pem").write_text(ssl.DER_cert_to_PEM_cert(b"nonsense"))
        [line] = run(GOOD + TLS).stderr.splitlines()

        assert line.startswith("config.toml: listen.tls: the certificate and key cannot be used: ")

    def test_other_key(self) -> None:
        """A key of another certificate is named as that."""
        write_certificate()
        certificate = Path("cert.pem").read_bytes()
        write_certificate()
        Path("cert.pem").write_bytes(certificate)

        assert_problems(
            run(GOOD + TLS),
            f"listen.tls.key: {Path.cwd()}/key.pem is not the key of the certificate",
        )

    @pytest.mark.parametrize(
        "head",
        ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"],
    )
    def test_encrypted_key(self, head: str) -> None:
        """A key with a passphrase is refused, and nobody is asked for it."""
        write_certificate()
        Path("key.pem").write_text(head)
        [line] = run(GOOD + TLS).stderr.splitlines()

        assert line.endswith("key.pem is encrypted; it is needed without a passphrase")


class TestChannelFiles:
    """The files of channels, which serve would read at the first dial."""

    CHANNEL = (
        '[[channels]]\nname = "own"\nprovider = "openai"\nmodels = ["c"]\napi_key = "sk-hush"\n'
        'ca_file = "ca.pem"\nclient_cert = { cert = "cert.pem", key = "key.pem" }\n'
    )

    def test_good(self) -> None:
        """An authority and a certificate with its key are good."""
        write_certificate()
        trustme.CA().cert_pem.write_to_path("ca.pem")

        assert run(GOOD + self.CHANNEL).exit_code == 0

    def test_missing(self) -> None:
        """Each file that cannot be read is named with its place."""
        assert_problems(
            run(GOOD + self.CHANNEL),
            *(
                f"channels[2].{place}: {Path.cwd()}/{file} cannot be read: "
                "No such file or directory"
                for place, file in (
                    ("ca_file", "ca.pem"),
                    ("client_cert.cert", "cert.pem"),
                    ("client_cert.key", "key.pem"),
                )
            ),
        )


class TestKeySources:
    """Where keys come from that change, which serve would ask at the first session."""

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            ('command = ["./token.sh"]', "command: there is no program '{}/token.sh'"),
            ('command = ["no-such-program"]', "command: there is no program 'no-such-program'"),
            ('file = "token"', "file: {}/token is not there or cannot be read"),
        ],
    )
    def test_missing(self, source: str, problem: str) -> None:
        """What is not there is named with its place."""
        channel = TestChannelFiles.CHANNEL.partition("api_key =")[0]
        [line] = run(GOOD + channel + f"api_key_from = {{ {source} }}\n").stderr.splitlines()

        place = f"config.toml: channels[2].api_key_from.{problem.format(Path.cwd())}"
        assert line.startswith(place)

    def test_good(self) -> None:
        """A program by its path from the config file, one in PATH, and a file are good."""
        script = Path("token.sh")
        script.write_text("#!/bin/sh\necho sk-hush\n")
        script.chmod(0o700)
        channel = TestChannelFiles.CHANNEL.partition("api_key =")[0]
        for source in ('command = ["./token.sh"]', 'command = ["sh"]', 'file = "token.sh"'):
            assert run(GOOD + channel + f"api_key_from = {{ {source} }}\n").exit_code == 0


class TestTokens:
    """The token file that serve would read or make."""

    def test_broken(self) -> None:
        """A token file that cannot be understood is a problem with its reason."""
        Path("tokens.toml").write_text("[[tokens]]\nnmae = 1\n")
        [line] = run(GOOD).stderr.splitlines()

        assert line.startswith(f"config.toml: tokens.file: {Path.cwd()}/tokens.toml: ")

    def test_nowhere_to_make_it(self) -> None:
        """Serve makes the token file, which takes a folder."""
        assert_problems(
            run(GOOD + '[tokens]\nfile = "no/tokens.toml"\n'),
            f"tokens.file: {Path.cwd()}/no/tokens.toml is not there "
            "and cannot be made in its folder",
        )
