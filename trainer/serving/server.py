"""Serves a trained run over HTTP, and is the entry point of `vitrine serve`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import uvicorn

from command.entry import exit_code
from command.options import parse_settings
from contract.errors import UserError
from trainer.answers.adapters import adapter_problem
from trainer.answers.answerer import load_answerer
from trainer.answers.sources import open_sources
from trainer.parts.manifest import is_in_parts, read_parts, trained_runs
from trainer.plan.data_sets import reopen_data
from trainer.runs import names
from trainer.runs.folder import read_info
from trainer.serving.app import State, make_app
from trainer.serving.chat import Chat
from trainer.serving.connections import PromptProtocol
from trainer.serving.engine import Engine, Slots
from trainer.serving.guards import LOOPBACK, read_key
from trainer.serving.metrics import Metrics
from trainer.serving.questions import Questions
from trainer.serving.settings import API_KEY, ServeConfig
from trainer.stream.lanes import first_records

_LOOK_S: Final = 0.05
_NUM_EXAMPLES: Final = 6
_LONGEST_EXAMPLE: Final = 48  # characters


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 after SIGTERM or Ctrl-C, 1 where the engine failed, 2 where the user has to change something."""
    return exit_code(
        lambda: serve(parse_settings(ServeConfig, argv, prog="trainer.serving.server", description=__doc__))
    )


def serve(config: ServeConfig) -> int:
    """Loads the run and answers until a signal comes."""
    key = read_key(config.api_key_file)
    with _bound(config.host, config.port) as listener:
        if key is None and config.host not in LOOPBACK:
            print(
                f"warning: {config.host} can be reached from other machines, and no key is set: everybody there may"
                f" ask; set a key by --api-key-file or {API_KEY}",
                file=sys.stderr,
            )
        return asyncio.run(_serve(config, listener, key=key))


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that has its address, but takes no connections yet; UserError where the address cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot listen on {host}, port {port}: {error.strerror}; give another --port") from error
        yield listener
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Uvicorn, which says where it listens once it does, and leaves signals to us: it would close its door at once."""

    def __init__(self, config: uvicorn.Config, *, said: str) -> None:
        super().__init__(config)
        self._said = said

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        print(self._said, file=sys.stderr, flush=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Does nothing."""
        yield


@dataclass(frozen=True)
class _Loaded:
    """All that is read before the first request."""

    slots: Slots
    questions: Questions
    about: dict[str, Any]


def _load(config: ServeConfig) -> _Loaded:
    """Takes seconds; UserError where the run cannot be served."""
    run = Path(config.run)
    answerer = load_answerer(run)
    for each in read_parts(run).runs if is_in_parts(run) else []:
        if problem := adapter_problem(run / each.folder / names.ADAPTER):
            print(f"warning: {problem}; the titles of {each.folder} get an error", file=sys.stderr, flush=True)
    catalogue = open_sources(run, config.ground) if config.sources else None
    questions = Questions(answerer, catalogue, max_question=config.max_question, max_new_tokens=config.max_new_tokens)
    about = {"run": run.name, "examples": _examples(run), "sources": catalogue is not None}
    return _Loaded(answerer.batch(num_slots=config.slots), questions, about)


def _examples(run: Path) -> list[str]:
    """Titles that the run was trained on, the shorter ones first among equals; none where its data is not at hand."""
    titles: dict[str, None] = {}
    try:
        for each in trained_runs(run)[:_NUM_EXAMPLES]:
            info = read_info(each.folder)
            data = reopen_data(each.data, config=info.config, dataset_ids=info.dataset_ids)
            titles |= dict.fromkeys(record.title for record in first_records(data, 50))
    except UserError:
        return []
    fitting = (title for title in titles if len(title) <= _LONGEST_EXAMPLE)
    return list(islice(fitting, _NUM_EXAMPLES))


async def _serve(config: ServeConfig, listener: socket.socket, *, key: str | None) -> int:
    loaded = await asyncio.to_thread(_load, config)
    engine = Engine(loaded.slots, most_waiting=config.queue)
    metrics = Metrics(engine.load)
    chat = Chat(loaded.questions, engine, metrics, max_body=config.max_body, timeout=config.timeout)
    stopping = asyncio.Event()
    state = State(stopping.is_set, lambda: engine.failure, loaded.about)
    app = make_app(chat, state, config=config, key=key)
    server = _Server(
        uvicorn.Config(
            app, http=PromptProtocol, log_config=None, access_log=False, server_header=False, lifespan="off"
        ),
        said=f"serving {config.run} at {_address(listener)} (Ctrl-C stops)",
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, stopping, engine)
    engine.start(loop)
    ends = asyncio.ensure_future(_end(server, engine, stopping))
    await server.serve(sockets=[listener])
    ends.cancel()
    engine.close()
    engine.join(1.0)
    if engine.failure:
        raise engine.failure
    return 0


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _stop(stopping: asyncio.Event, engine: Engine) -> None:
    """After the first signal new requests are refused and the others finished; the second one ends the process."""
    if stopping.is_set():
        os._exit(128 + signal.SIGINT)
    stopping.set()
    print(
        "stopping: what runs is finished, new requests are refused; another signal stops at once",
        file=sys.stderr,
        flush=True,
    )
    engine.close()


async def _end(server: uvicorn.Server, engine: Engine, stopping: asyncio.Event) -> Any:
    """Lets the server exit once it is told to stop and nothing runs, or where the engine has failed."""
    while not (engine.failure or (stopping.is_set() and engine.load() == (0, 0))):
        await asyncio.sleep(_LOOK_S)
    server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
