"""Completions of bash, zsh and fish: files that hold every word, so that a TAB starts no Python."""

from __future__ import annotations

from mma82cli.manual.table import Command, Option
from mma82cli.manual.words import follows

HEAD = "Made by python -m mma82cli.manual; changes here are lost."
GLOBAL = {"--help": "print the commands", "--version": "print the version"}
HELP = Option(("-h", "--help"), None, "print the help of the command", (), None, (None, None), False, False)


def _options(command: Command) -> tuple[Option, ...]:
    return (*command.options, *command.shared, HELP)


# -- bash ----------------------------------------------------------------------------------------------------------


def bash(commands: list[Command]) -> str:
    """The file for share/bash-completion/completions."""
    names = " ".join(command.name for command in commands)
    cases = "\n".join(_bash_command(command) for command in commands)
    return f"""# {HEAD}
_mma82() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} words='' options=''
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    if ((COMP_CWORD == 1)); then
        words='{names} help {" ".join(GLOBAL)}'
    else
        case ${{COMP_WORDS[1]}} in
        help) words='{names}' ;;
{cases}
        esac
        if [[ -z $words && $cur == -* ]]; then
            words=$options
        fi
    fi
    COMPREPLY=()
    if [[ $words == / ]]; then
        compopt -o dirnames 2>/dev/null
    elif [[ -n $words ]]; then
        # shellcheck disable=SC2207 # words without blanks; older shells have no mapfile
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
    fi
}}
complete -o default -F _mma82 mma82
"""


def _bash_command(command: Command) -> str:
    after = []
    for option in (o for o in _options(command) if o.metavar):
        found = follows(option, command)
        words = "/" if found.kind == "folders" else " ".join(found.words)
        if words:
            after.append(f"            {' | '.join(option.names)}) words='{words}' ;;")
    first = command.arguments[0] if command.arguments else None
    if first and first.choices:
        after.append(f"            {command.name}) words='{' '.join(first.choices)}' ;;")
    every = " ".join(name for option in _options(command) for name in option.names)
    cases = "\n".join(["            case $prev in", *after, "            esac"]) if after else "            :"
    return f"        {command.name})\n            options='{every}'\n{cases}\n            ;;"


# -- zsh -----------------------------------------------------------------------------------------------------------


def zsh(commands: list[Command]) -> str:
    """The file for share/zsh/site-functions."""
    rows = "\n".join(f"        {_quoted(f'{c.name}:{c.line}')}" for c in commands)
    cases = "\n".join(_zsh_command(command) for command in commands)
    top = " ".join(_quoted(f"(- *){name}[{text}]") for name, text in GLOBAL.items())
    return f"""#compdef mma82
# {HEAD}
_mma82_names() {{
    _alternative "names:name:($*)" 'files:file:_files'
}}
_mma82() {{
    local curcontext=$curcontext state line
    local -a commands
    commands=(
{rows}
    )
    _arguments -C {top} '1:command:->command' '*::argument:->argument' && return
    case $state in
    command) _describe command commands ;;
    argument)
        case $words[1] in
        help) ((CURRENT == 2)) && _describe command commands ;;
{cases}
        esac
        ;;
    esac
}}
if [[ $funcstack[1] == _mma82 ]]; then
    _mma82 "$@"
else
    compdef _mma82 mma82
fi
"""


def _zsh_command(command: Command) -> str:
    specs = [spec for option in _options(command) for spec in _zsh_option(option, command)]
    for i, argument in enumerate(command.arguments, 1):
        place = "*" if argument.repeatable else str(i)
        specs.append(_quoted(f"{place}:{argument.metavar}:{_zsh_action(argument, command)}"))
    lines = " \\\n".join(f"                {spec}" for spec in specs)
    return f"        {command.name})\n            _arguments \\\n{lines}\n            ;;"


def _zsh_option(option: Option, command: Command) -> list[str]:
    text = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    after = f":{option.metavar.replace(':', ' ')}:{_zsh_action(option, command)}" if option.metavar else ""
    others = "*" if option.repeatable else f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    return [_quoted(f"{others}{name}[{text}]{after}") for name in option.names]


def _zsh_action(option: Option, command: Command) -> str:
    found = follows(option, command)
    if found.kind == "words":
        return f"({' '.join(found.words)})"
    if found.kind == "files" and found.words:
        return f" _mma82_names {' '.join(found.words)}"
    return {"files": "_files", "folders": "_files -/", "anything": " "}[found.kind]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# -- fish ----------------------------------------------------------------------------------------------------------


def fish(commands: list[Command]) -> str:
    """The file for share/fish/vendor_completions.d."""
    lines = [
        f"# {HEAD}",
        "function __mma82_command",
        "    set -l words (commandline -opc)",
        "    test (count $words) -ge 2; and contains -- $words[2] $argv",
        "end",
        "function __mma82_none",
        "    test (count (commandline -opc)) -eq 1",
        "end",
    ]
    for name, text in GLOBAL.items():
        lines.append(f"complete -c mma82 -n __mma82_none -f -l {name.removeprefix('--')} -d {_fish(text)}")
    for command in commands:
        lines.append(f"complete -c mma82 -n __mma82_none -f -a {command.name} -d {_fish(command.line)}")
        lines.append(f"complete -c mma82 -n '__mma82_command help' -f -a {command.name}")
        lines += [_fish_option(option, command) for option in _options(command)]
        for argument in command.arguments[:1]:
            if argument.choices:
                only = f"-n '__mma82_command {command.name}; and test (count (commandline -opc)) -eq 2'"
                lines.append(f"complete -c mma82 {only} -f -a {_fish(' '.join(argument.choices))}")
    return "\n".join(lines) + "\n"


def _fish_option(option: Option, command: Command) -> str:
    names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in option.names)
    line = f"complete -c mma82 -n '__mma82_command {command.name}' {names}"
    if option.metavar:
        found = follows(option, command)
        line += {"words": " -x", "files": " -r -F", "folders": " -x", "anything": " -x"}[found.kind]
        words = "(__fish_complete_directories)" if found.kind == "folders" else " ".join(found.words)
        line += f" -a {_fish(words)}" if words else ""
    return f"{line} -d {_fish(option.help)}"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
