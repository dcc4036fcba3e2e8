"""`manage.py serve_reward_model --model DIR`: rewards over HTTP."""

import ipaddress
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from rm_training.config import ConfigError
from rm_training.errors import RunError


class Command(BaseCommand):
    """Never touches the database: it runs on GPU machines too."""

    help = (
        "Serve a published reward model: POST /score, /reward, and /get_reward for "
        "OpenRLHF; GET /livez, /readyz, /metrics. Ctrl-C ends it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The model, the address, and who may ask."""
        parser.add_argument("--model", required=True, type=Path, metavar="DIR")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", default=8100, type=int, help="0: a free one")
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
        parser.add_argument(
            "--threads", type=int, metavar="N", help="of the model on a CPU"
        )
        parser.add_argument(
            "--token-file",
            type=Path,
            metavar="FILE",
            help="its first line is the token that clients send as Authorization: "
            "Bearer; or set RANKWELL_SCORE_TOKEN",
        )
        parser.add_argument(
            "--waiting", type=int, default=256, help="most requests in the queue"
        )
        parser.add_argument(
            "--timeout", type=float, default=60.0, help="seconds for an answer"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to end. What is wrong with the command ends it at once; a
        model that turns out damaged is not served, and /readyz says so."""
        file = options["token_file"]
        token = read_token(file) if file else str(settings.SCORE_TOKEN)
        try:
            self._serve(options, token)
        except ConfigError as error:
            raise CommandError(str(error), returncode=2) from error
        except RunError as error:
            raise CommandError(str(error)) from error

    def _serve(self, options: dict[str, Any], token: str) -> None:
        # --help and usage errors should not wait seconds for torch.
        import torch  # noqa: PLC0415

        from rm_training.network import choose_device  # noqa: PLC0415
        from rm_training.serving.requests import Limits  # noqa: PLC0415
        from rm_training.serving.server import (  # noqa: PLC0415
            Address,
            listen,
            serve,
            service_of,
        )

        choose_device(options["device"])
        if options["threads"]:
            torch.set_num_threads(options["threads"])
        limits = Limits(waiting=options["waiting"], seconds=options["timeout"])
        service = service_of(
            options["model"], device=options["device"], limits=limits, token=token
        )
        taken = listen(Address(host=options["host"], port=options["port"]))
        host, port = taken.getsockname()[:2]
        if not token and not _is_loopback(host):
            self.stderr.write(f"Anybody who reaches {host} may ask: no token is set.")
        self.stdout.write(f"{service.model} at http://{host}:{port}")
        sys.stdout.flush()
        serve(service, taken)


def read_token(file: Path) -> str:
    """The token that clients must send. Raises CommandError."""
    try:
        token = file.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--token-file {file}: {error}", returncode=2) from error
    if not token:
        raise CommandError(
            f"--token-file {file}: its first line is empty", returncode=2
        )
    return token


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
