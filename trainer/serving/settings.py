"""Settings of `vitrine serve`. Light: read by the command line before anything heavy."""

from dataclasses import dataclass
from typing import Final

from command.settings import check_settings, setting

API_KEY: Final = "VITRINE_API_KEY"  # the environment variable
_ORIGIN: Final = r"https?://[^/\s*]+"


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """A trained run that answers over HTTP, where it listens, and what a request may ask for."""

    run: str = setting(help="folder of a training run")
    ground: tuple[str, ...] | None = setting(
        None,
        help="folder or URL of a prepared data set whose texts stand beside the answers as their sources (default: the"
        " run's own data, where it is at hand)",
    )
    sources: bool = setting(True, help="look titles up, and name the sources of answers")
    host: str = setting(
        "127.0.0.1", help="address to listen on; the default is reached from this machine only, 0.0.0.0 from others too"
    )
    port: int = setting(8000, help="port to listen on; 0 takes a free one", least=0, most=65535)
    api_key_file: str | None = setting(
        None,
        help="file with the key that every request must bring (default: the environment variable"
        f" {API_KEY}, or no key)",
    )
    allow_origin: tuple[str, ...] = setting(
        (),
        help="origin of web pages that may use this server, such as https://example.org (default: its own page only)",
        matching=_ORIGIN,
        expected="an origin such as https://example.org",
    )
    slots: int = setting(32, help="answers that are computed at the same time", least=1, most=1024)
    queue: int = setting(128, help="answers that may wait for a slot; one more is refused", least=0, most=2**16)
    max_new_tokens: int = setting(512, help="largest length of an answer, in tokens", least=1, most=2**20)
    max_question: int = setting(4_000, help="largest length of a question, in characters", least=1, most=2**20)
    max_body: int = setting(262_144, help="largest size of a request, in bytes", least=1024, most=2**30)
    timeout: float = setting(120.0, help="seconds after which a request is given up", above=0)

    def __post_init__(self) -> None:
        """Checks ranges; raises UserError."""
        both = self.ground is not None and not self.sources
        check_settings(self, *["ground and no-sources exclude each other"] * both)
