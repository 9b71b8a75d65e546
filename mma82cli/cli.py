"""The command table, and the way from `mma82 COMMAND …` to an exit status.

Only the chosen command's module is imported, so that `--version` and `--help` cost no more than an interpreter.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys

from mma82cli import __version__
from mma82cli.records import DataError, WrongUsage

COMMANDS = {  # name: (module in mma82cli.commands, one line of help)
    "merge-annotations": ("merge_annotations", "several annotators' segments into one an instance"),
    "cut": ("cut", "trimmed clips, or windows that never cut an instance, of source videos"),
    "make-splits": ("make_splits", "splits that keep subjects apart and classes alike; zero- and few-shot"),
    "extract-skeleton": ("extract_skeleton", "joints of the person in each clip of a video"),
    "extract-face": ("extract_face", "what the face in each clip expresses, by deepface"),
    "train-rec": ("train_rec", "a recognition network from clips of joints"),
    "train-det": ("train_det", "a detector of actions from untrimmed videos"),
    "infer": ("infer", "a checkpoint's scores for each clip, or detections in each video"),
    "adapt": ("adapt", "a network of joints in another domain, from a few clips of it"),
    "score": ("score", "every metric of the benchmark from predictions"),
    "emotion-tree": ("emotion_tree", "which micro-actions set an emotion apart"),
    "emotion-mlp": ("emotion_mlp", "what the actions that set emotions apart are worth to a network"),
    "fuse": ("fuse", "what several models say of a clip made one"),
    "labels": ("labels", "print a taxonomy, a label a line"),
    "validate": ("validate", "every fault of records, with its line"),
    "stats": ("stats", "what records amount to: the paper's Tables I, II, V and Fig. 3"),
    "convert": ("convert", "other people's formats to records, and back"),
    "suppress": ("suppress", "soft-NMS and boundary voting on detections"),
    "diagnose": ("diagnose", "what a detector misses, what it gets wrong, and what that costs"),
    "plot": ("plot", "figures of what the other commands write"),
    "tabulate": ("tabulate", "figures of any command as a table, beside other people's"),
    "synth": ("synth", "the embedded data set: people who perform the 82 actions"),
}

FAULT = "a fault of mma82 itself"  # what is said where a traceback would be; no input should lead here
USAGE = "usage: mma82 COMMAND [OPTION]... [FILE]..."
EXAMPLE = "mma82 infer run/ --split test clips.jsonl | mma82 score --metric mca"


def help_text() -> str:
    """What `mma82 --help` prints: usage, an example, and a line a command."""
    width = max(map(len, COMMANDS)) + 2
    rows = "\n".join(f"  {name:<{width}}{line}" for name, (_, line) in COMMANDS.items())
    return (
        f"{USAGE}\n\nThe MMA-82 micro-action benchmark as small tools over JSON Lines.\n\n"
        f"Example:\n  {EXAMPLE}\n\nCommands:\n{rows}\n\n"
        "  --version   print the version\n  --help, -h  print this; `mma82 COMMAND --help` says more\n"
    )


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit status (0, 1 bad data, 2 wrong usage, 130 Ctrl-C, 141 closed pipe)."""
    arguments = sys.argv[1:] if argv is None else argv
    if sys.stderr is None:
        _speak_to_nobody()
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if "--debug" in arguments:
            raise
        name = f"mma82 {arguments[0]}" if arguments and arguments[0] in COMMANDS else "mma82"
        print(f"{name}: {_in_words(error)}", file=sys.stderr)
        return 2 if isinstance(error, WrongUsage) else 1


def _speak_to_nobody() -> None:
    """Where standard error is closed (2>&-), print() would say everything on standard output, and the next file opened would
    get what C libraries say."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    if null != 2:
        os.close(null)
    sys.stderr = os.fdopen(2, "w")


def _run(arguments: list[str]) -> int:
    if not arguments:
        print(f"{USAGE}\n`mma82 --help` lists the commands.", file=sys.stderr)
        return 2
    first = arguments[0]
    if first in ("--version", "-V"):
        return _print(f"mma82 {__version__}\n")
    if first in ("--help", "-h", "help"):
        if len(arguments) == 1:
            return _print(help_text())
        first, arguments = arguments[1], [arguments[1], "--help"]
    if first not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(first, COMMANDS, 1)
        kind = "option" if first.startswith("-") else "command"
        hint = f"did you mean '{near[0]}'?" if near else "`mma82 --help` lists the commands"
        raise WrongUsage(f"no {kind} '{first}'; {hint}")
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")  # torch's products of matrices sum in one order, however many threads
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else its threads wait busily, and on a busy machine for each other
    for end in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(end) is not signal.SIG_IGN:  # nohup
            signal.signal(end, lambda number, _: sys.exit(128 + number))  # so that unfinished output is taken away
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell's background job ignores it
        # KeyboardInterrupt would not do: once it passed through an eval of text (namedtuple has one), CPython ends by
        # the signal itself, whoever caught it.
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    return _dispatch(first, arguments[1:])


def _print(text: str) -> int:
    if sys.stdout is None:  # closed, >&-
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "<stdout>")
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _in_words(error: Exception) -> str:
    if isinstance(error, (DataError, WrongUsage, OSError)):
        return _one_line(error)
    if isinstance(error, MemoryError):
        return "out of memory; give fewer or smaller records at once (--debug shows where)"
    return f"{FAULT}: {type(error).__name__}: {_one_line(error)[:300]} (--debug shows where; please report it)"


def typer_app(name: str):
    """The one-command Typer application of `name`, whose module alone is imported."""
    from importlib import import_module

    import typer

    function = import_module(f"mma82cli.commands.{COMMANDS[name][0]}").run
    function.name = name
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(epilog=_after_options(function), context_settings={"help_option_names": ["--help", "-h"]})(function)
    made = typer.main.get_command(app)
    for argument in (p for p in made.params if p.param_type_name == "argument"):
        argument.display_type_rich = lambda ctx=None: None  # type: ignore[attr-defined]  # FILE is no `<list[str]>` to a person
    return made


def _after_options(function) -> str:
    """The end of a command's help: the fields of its records, and an example."""
    fields = {"Reads": function.takes, "Adds": function.adds, "Writes": function.writes}
    lines = [f"{verb}: {', '.join(names)}." for verb, names in fields.items() if names]
    return "\n\n".join([*lines, "Example:", "\b\n" + "\n".join("  " + x for x in folded(function.example))])


def folded(example: str, width: int = 69) -> list[str]:
    """Lines of a shell, those longer than `width` broken as a person would: after a pipe, else before an option or a `>`."""
    lines = []
    for line in example.strip().splitlines():
        words = re.findall(r"(?:'[^']*'|\"[^\"]*\"|\S)+", line)
        short, indent = len(line) <= width, ""
        while words and not short:
            fits = [n for n in range(1, len(words)) if len(indent + " ".join(words[:n])) <= width - 2]
            pipes = [n for n in fits if words[n - 1] in ("|", "&&")]
            options = [n for n in fits if words[n][0] in "->"]
            at = (pipes or options or [len(words)])[-1]
            lines.append(indent + " ".join(words[:at]) + " \\" * (at in options and at not in pipes))
            words, indent = words[at:], "    "
            line = indent + " ".join(words)
            short = len(line) <= width
        lines += [line] * bool(words)
    return lines


def _dispatch(name: str, arguments: list[str]) -> int:
    import typer

    # click's UsageError, which newer typers carry within themselves
    usage_error: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
    app = typer_app(name)
    try:  # not app.main(): it would answer a closed pipe itself, with status 1
        with app.make_context(f"mma82 {name}", arguments) as context:
            return app.invoke(context) or 0
    except typer.Exit as done:  # --help
        return done.exit_code
    except usage_error as error:
        raise WrongUsage(_said_of(error)) from None


def _said_of(error) -> str:
    """What the parser says of an option, without a word of its own, and with the value that it means."""
    said = error.format_message().replace("Value error, ", "")
    faults = getattr(error.__cause__, "errors", list)()  # pydantic's, which the latest typers ask
    return said + "".join(f"; found {fault['input']!r}" for fault in faults[:1] if repr(fault["input"]) not in said)
