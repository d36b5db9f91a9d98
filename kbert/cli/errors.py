"""What goes wrong, said on stderr, and the exit code that it means.

An error of values, files, imports or TensorFlow is told in one or two lines: our own words as they are; of a library's
the first line, and how to see where it came from. Any other exception is a defect of ours, and its traceback is shown.
"""

import os
import sys
from collections.abc import Callable

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130
SHOW_ALL = "KBERT_TRACEBACK"  # set it to see where an error came from
OURS = ("kbert", "pipelines", "export")


class WrongUse(Exception):
    """Options that are each right and do not go together; exit code 2."""


class Ended(Exception):
    """A command that was asked to end and did, in good order; the words say how to go on, the code is the signal's."""

    def __init__(self, words: str, code: int):
        super().__init__(words)
        self.code = code


def explained(command: Callable[[], int | None]) -> int:
    """Calls `command` and returns an exit code.

    Raises:
        Exception: a defect; and whatever is raised, where KBERT_TRACEBACK is set and the options parse.
    """
    try:
        code = command() or 0
    except WrongUse as error:
        return say(str(error), WRONG_USE)
    except Ended as ended:
        return say(str(ended), ended.code)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the reader left (`| head`): nothing to say, nobody to say it to
        return 0
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get(SHOW_ALL):
            raise
        return say(message(error), FAILED)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # Click's own or Typer's copy of it
            return wrong_use(error)
        if type(error).__module__.startswith("tensorflow") and not os.environ.get(SHOW_ALL):
            return say(message(error), FAILED)
        raise
    return say("interrupted", code) if code == INTERRUPTED else code


def wrong_use(error) -> int:
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
    """At most two lines of an error: files by name; where it is not ours, how to see where it came from."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if len(lines) <= 2 and ours(error):
        return "\n".join(lines)
    return f"{lines[0]}\n... ({SHOW_ALL}=1 shows all of it)"


def ours(error: BaseException) -> bool:
    """Whether this project's code raised it; its words are then meant for the user."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_globals.get("__name__", "").partition(".")[0] in OURS
