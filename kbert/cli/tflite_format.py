"""`--format tflite`: one file for phones and for LiteRT, which takes strings, or ids with MediaPipe's metadata."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from kbert.cli.errors import WrongUse
from kbert.cli.format import Format
from kbert.cli.output import existing

SHOWN = 3  # texts that a device's tokenizer parts otherwise


@dataclass(frozen=True)
class TFLiteOptions:
    """What `--format tflite` asks beside what all formats do."""

    precision: Annotated[
        Literal["float32", "float16", "int8", "int8-full"],
        Option(help="Of weights and computation. int8: matrices alone; int8-full: all, with --calibration."),
    ] = "float32"
    length: Annotated[
        str | None,
        Option(metavar="N,...", help="Tokens of a row; several share the weights. Else --max-length. Cuts long texts."),
    ] = None
    input: Annotated[Literal["text", "ids"], Option(help="What the file takes; ids has the metadata of MediaPipe.")] = (
        "text"
    )
    calibration: Annotated[
        Path | None, Option(help="Texts like those that will be asked, for --precision int8-full.")
    ] = None
    check: Annotated[
        Path | None, Option(help="Texts: counts those that the device's tokenizer parts otherwise than the exact one.")
    ] = None


class TFLite(Format):
    """See `export.tflite`."""

    name = "tflite"
    Options = TFLiteOptions
    one_file = True

    def check(self, run, out):
        options = self.options
        self.lengths = None if options.length is None else numbers(options.length)
        for path, option in ((options.calibration, "--calibration"), (options.check, "--check")):
            if path is not None:
                existing(path, option)
        if options.precision == "int8-full" and options.calibration is None:
            raise WrongUse("--precision int8-full needs --calibration FILE: texts like those that will be asked.")
        if options.precision != "int8-full" and options.calibration is not None:
            raise WrongUse(f"--calibration is for --precision int8-full; got it with {options.precision}.")
        if options.check is not None and options.input == "ids":
            raise WrongUse("--check is for --input text: who gives ids has a tokenizer of their own.")

    def write(self, asked):
        import export as exporters

        options, task = self.options, asked.task
        lengths = self.lengths or [asked.max_length]
        given = {"lengths": lengths, "precision": options.precision, "input": options.input}
        if options.calibration is not None:
            given["calibration"] = list(zip(*columns(task, options.calibration), strict=True))
        settings = {**task.serving(), "overwrite": asked.overwrite}
        exporters.tflite(asked.model, asked.out, **given, **settings)
        told = {**given, "calibration": None if options.calibration is None else str(options.calibration)}
        if options.check is None:
            return told
        from export.tflite.checking import check_texts

        texts = [text for column in columns(task, options.check) for text in column]
        return {**told, "check": check_texts(asked.model.tokenizer_spec, texts, SHOWN)}

    def lines(self, result):
        lengths = " or ".join(map(str, result["lengths"]))
        lines = [
            f"{super().lines(result)[0]}, {result['precision']}, {result['input']} in, rows of {lengths} tokens; "
            "longer texts are cut"
        ]
        if check := result.get("check"):
            lines.append(f"other ids than the exact tokenizer's: {check['differ']} of {check['texts']} texts")
            for shown in check["shown"]:
                lines += [f"  {shown['text']}", f"    exact  {shown['exact']}", f"    device {shown['device']}"]
        return lines


def numbers(words: str) -> list[int]:
    """The lengths of --length.

    >>> numbers("32,128")
    [32, 128]
    >>> numbers("short")
    Traceback (most recent call last):
    ValueError: --length is a number of tokens, or several with commas between them; got 'short'.
    """
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise ValueError(
            f"--length is a number of tokens, or several with commas between them; got {words!r}."
        ) from None


def columns(task, path: Path) -> list:
    """The strings of a file, a list for each input of the task."""
    return list(task.strings(task.questions(path)).values())
