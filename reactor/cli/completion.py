"""`reactor completion`: what the shell completes, from the same parsers that read the command line."""

from __future__ import annotations

import argparse
from typing import Any

SHELLS = ("bash", "zsh", "fish")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def words() -> dict[str, list[str]]:
    """Commands and `command verb` pairs with their options and verbs; `` is the top."""
    from reactor.cli import COMMANDS, build_parser

    found: dict[str, list[str]] = {"": [*COMMANDS, "--help", "--version"]}
    for name in COMMANDS:
        parser = build_parser(name)
        choices = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
        _collect(name, choices[name], found)
    return found


def _collect(path: str, parser: argparse.ArgumentParser, found: dict[str, list[str]]) -> None:
    options: list[str] = []
    for action in parser._actions:
        options += [option for option in action.option_strings if option.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            for verb, inner in action.choices.items():
                options.append(verb)
                _collect(f"{path} {verb}", inner, found)
        elif action.choices and not action.option_strings:
            options += [str(choice) for choice in action.choices]
    found[path] = options


def run(options: Any) -> int:
    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](words()), end="")
    return 0


def bash(found: dict[str, list[str]]) -> str:
    """eval "$(reactor completion bash)" """
    arms = "\n".join(f'        "{path}") words="{" ".join(names)}" ;;' for path, names in found.items() if path)
    return f"""# reactor: completion for bash;  eval "$(reactor completion bash)"
_reactor() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" first="${{COMP_WORDS[1]}}" second="${{COMP_WORDS[2]}}" words
    local path=""
    if [ "$COMP_CWORD" -gt 1 ]; then path="$first"; fi
    if [ "$COMP_CWORD" -gt 2 ]; then
        case " {" ".join(path.replace(" ", ":") for path in found if " " in path)} " in
            *" $first:$second "*) path="$first $second" ;;
        esac
    fi
    case "$path" in
        "") words="{" ".join(found[""])}" ;;
{arms}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [ ${{#COMPREPLY[@]}} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}}
complete -o filenames -F _reactor reactor
"""


def zsh(found: dict[str, list[str]]) -> str:
    """eval "$(reactor completion zsh)" """
    arms = "\n".join(f"        '{path}') choices=({' '.join(names)}) ;;" for path, names in found.items() if path)
    pairs = " ".join(f"'{path}'" for path in found if " " in path)
    return f"""#compdef reactor
# reactor: completion for zsh;  eval "$(reactor completion zsh)", or this text as _reactor in a folder of $fpath
_reactor() {{
    local -a choices pairs
    local place=""
    pairs=({pairs})
    if (( CURRENT > 2 )); then place="$words[2]"; fi
    if (( CURRENT > 3 )) && (( $pairs[(Ie)$words[2] $words[3]] )); then place="$words[2] $words[3]"; fi
    case "$place" in
        '') choices=({" ".join(found[""])}) ;;
{arms}
    esac
    compadd -- $choices
    _files
}}
compdef _reactor reactor
"""


def fish(found: dict[str, list[str]]) -> str:
    lines = ["# reactor: completion for fish;  reactor completion fish | source", "complete -c reactor -f"]
    top = " ".join(word for word in found[""] if not word.startswith("-"))
    lines.append(f"complete -c reactor -n __fish_use_subcommand -a '{top}'")
    for path, names in found.items():
        if not path:
            continue
        parts = path.split(" ")
        seen = "; and ".join(f"__fish_seen_subcommand_from {part}" for part in parts)
        for name in names:
            flag = f"-l {name.removeprefix('--')}" if name.startswith("--") else f"-a {name}"
            lines.append(f"complete -c reactor -n '{seen}' {flag}")
    return "\n".join(lines) + "\n"
