"""What goes wrong, said on stderr in one or two lines, and the exit code that it means."""

import os
import sys
from collections.abc import Callable

import typer

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130
SHOW_ALL = "KBERT_TRACEBACK"  # set it to see where an error came from


class WrongUse(Exception):
    """Options that are each right and do not go together; exit code 2."""


def explained(command: Callable[[], int | None]) -> int:
    """Calls `command` and returns an exit code; a user's mistake becomes a line, a defect keeps its traceback."""
    try:
        code = command() or 0
    except typer.TyperException as error:
        return wrong_use(error)
    except WrongUse as error:
        return say(str(error), WRONG_USE)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader left (`| head`): nothing to say, nobody to say it to
        return 0
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get(SHOW_ALL):
            raise
        return say(message(error), FAILED)
    except Exception as error:
        if type(error).__module__.startswith("tensorflow") and not os.environ.get(SHOW_ALL):
            return say(message(error), FAILED)
        raise
    return say("interrupted", code) if code == INTERRUPTED else code


def wrong_use(error: typer.TyperException) -> int:
    """Options that do not parse: what is wrong, and where the right ones are listed."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "kbert"
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return WRONG_USE
    return say(
        f"{error.format_message().replace('Value error, ', '')}\n{path} --help lists the options.", error.exit_code
    )


def say(text: str, code: int) -> int:
    """Prints a line on stderr and hands back the exit code."""
    print(f"kbert: {text}", file=sys.stderr)
    return code


def message(error: BaseException) -> str:
    """At most two lines of an error: files by name, and the rest where it is asked for."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if len(lines) <= 2:
        return "\n".join(lines)
    return f"{lines[0]}\n... ({SHOW_ALL}=1 shows all of it)"
