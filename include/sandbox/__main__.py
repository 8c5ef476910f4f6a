"""Start the sandbox: `python -m include.sandbox --patients 200 --client ID=JWKS_URL`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from include.sandbox.endpoints.server import listen, serve
from include.sandbox.oauth import Client
from include.sandbox.population import Size
from include.sandbox.population.sources import loaded, made
from include.sandbox.sandbox import Place, Sandbox
from include.sandbox.settings import Settings, all_settings


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m include.sandbox",
        description="A FHIR server that behaves like eClinicalWorks does in public traces. It listens on 127.0.0.1, "
        "prints one line of JSON with its addresses when it is ready, and stops on SIGTERM.",
    )
    place = parser.add_argument_group("place")
    place.add_argument("--port", type=int, default=0, help="port of the FHIR server; 0: any free one (default)")
    place.add_argument("--token-port", type=int, default=0, help="port of the token endpoint and of /admin; 0: any")
    place.add_argument("--practice", default="FFSAND", help="practice code (default %(default)s)")
    place.add_argument("--quiet", action="store_true", help="no access log")
    people = parser.add_argument_group("population")
    people.add_argument("--patients", type=int, default=200, help="number of patients (default %(default)s)")
    people.add_argument("--practitioners", type=int, help="default: 12, or one for 100 patients")
    people.add_argument("--locations", type=int, help="default: 8, or one for 1000 patients")
    people.add_argument("--seed", type=int, default=1, help="seed of the population (default %(default)s)")
    people.add_argument("--zone", type=_zone, default=ZoneInfo("America/New_York"), help="the practice's time zone")
    people.add_argument(
        "--today",
        type=date.fromisoformat,
        help="the day that separates past from planned appointments (default: today)",
    )
    people.add_argument("--load", type=Path, metavar="FOLDER", help="serve FOLDER/<Type>.ndjson instead")
    clients = parser.add_argument_group("clients; each option may be repeated")
    clients.add_argument("--client", type=_pair, action="append", default=[], metavar="ID=JWKS_URL")
    clients.add_argument("--secret", type=_pair, action="append", default=[], metavar="ID=SECRET")
    settings = parser.add_argument_group("settings; PATCH /admin/settings changes them at run time")
    for each, kind in all_settings():
        flag, means = f"--{each.name.replace('_', '-')}", f"{each.metadata['means']} (default {each.default!r})"
        if kind is bool:
            settings.add_argument(flag, action=argparse.BooleanOptionalAction, default=each.default, help=means)
        else:
            settings.add_argument(flag, type=kind, default=each.default, help=means.replace("%", "%%"))
    return parser.parse_args(argv)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"must be ID=VALUE: {text!r}")
    return name, value


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except ZoneInfoNotFoundError:
        raise argparse.ArgumentTypeError(f"there is no time zone {text!r}; one is America/New_York") from None


def main() -> int:
    options = arguments()
    try:
        settings = Settings(**{each.name: getattr(options, each.name) for each, _ in all_settings()})
        size = Size(
            patients=options.patients,
            practitioners=_or_default(options.practitioners, max(12, options.patients // 100)),
            locations=_or_default(options.locations, max(8, options.patients // 1000)),
            seed=options.seed,
            zone=options.zone,
            today=options.today or datetime.now(options.zone).date(),
        )
        sources = loaded(options.load, size) if options.load else made(size)
        fhir_socket, token_socket = listen(options.port), listen(options.token_port)
    except (OSError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)  # noqa: T201 - the command's own message
        return 1
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s", stream=sys.stderr)
    logging.getLogger("include.sandbox").setLevel(logging.CRITICAL if options.quiet else logging.INFO)
    place = Place(fhir_socket.getsockname()[1], token_socket.getsockname()[1], options.practice)
    secrets, urls = dict(options.secret), dict(options.client)
    clients = [Client(each, urls.get(each, ""), secrets.get(each, "")) for each in {**urls, **secrets}]
    asyncio.run(serve(Sandbox(place, settings, options.zone, sources, clients), fhir_socket, token_socket))
    return 0


def _or_default(chosen: int | None, default: int) -> int:
    return default if chosen is None else chosen


if __name__ == "__main__":
    sys.exit(main())
