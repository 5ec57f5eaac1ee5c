"""Scripts of the flow's author, in Python, Node or the shell: data comes in by stdin, never as code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from plugins.actions._paths import resolve
from plugins.actions.shell import RunOptions, perform
from plugins.output import json_of, line_ends
from reactor.contracts.action import ActionContext
from reactor.contracts.errors import StepFailed
from reactor.contracts.kinds import ActionKind
from reactor.contracts.text import shown

MAX_CODE = 100_000


class ScriptOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    code: str | None = None
    """The script, written out in the flow: no expression may stand in it,"""
    file: str | None = None
    """or the file that has it, written out too."""
    input: Any = None
    """What the script reads from stdin, as JSON."""
    args: list[str] = []
    """Its arguments."""
    env: dict[str, str] = {}
    """Its variables, beside PATH, HOME, LANG and the REACTOR_ ones; nothing else is inherited."""
    cwd: str | None = None
    """Its folder, from the flow's own; that one unless given."""
    check: bool = True
    """Whether an exit code other than 0 fails the step."""
    limit: int = 1024 * 1024
    """Bytes of stdout, and of stderr, that are kept; more ends the script."""
    background: str = "leave"
    """What becomes of children that still run when the script has ended: `leave` or `kill`."""


def _encoded(option: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StepFailed("expression", f"{option} holds text that cannot be UTF-8", retryable=False) from None


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (ValueError, OverflowError):
        raise StepFailed(
            "expression", "input holds text that cannot be UTF-8, or a number that JSON does not have", retryable=False
        ) from None


class _Script(ActionKind[ScriptOptions]):
    needs = "script"
    repeat = "keyed"
    Options = ScriptOptions
    result_fields = ("exit_code", "stdout", "stderr", "stdout_bytes", "stderr_bytes", "json")
    literal_options = ("code", "file")
    path_options = ("file",)
    programs: ClassVar[tuple[str, ...]] = ()
    inline: ClassVar[tuple[str, ...]] = ()
    name = ""

    async def run(self, options: ScriptOptions, context: ActionContext) -> object:
        if (options.code is None) == (options.file is None):
            raise StepFailed("expression", "give exactly one of code and file", retryable=False)
        program = next((found for name in self.programs if (found := shutil.which(name))), None)
        if program is None:
            raise StepFailed(
                "script.missing", f"{self.name} needs {self.programs[0]} on the daemon's PATH", retryable=False
            )
        file: Path | None = None
        if options.code is not None:
            if len(_encoded("code", options.code)) > MAX_CODE:
                raise StepFailed("limit", "code has at most 100,000 bytes; put it into a file", retryable=False)
            argv = [program, *self.inline, options.code, *self.after(), *options.args]
        else:
            assert options.file is not None
            file = resolve(context, "file", options.file)
            if not file.is_file():
                raise StepFailed("script.missing", f"the script {shown(str(file))} does not exist", retryable=False)
            argv = [program, str(file), *options.args]
        given = RunOptions(
            argv=argv,
            stdin=_json(options.input),
            env=options.env,
            cwd=options.cwd,
            check=options.check,
            limit=options.limit,
            background=options.background,
        )
        try:
            result, raw = await perform(given, context)
        except StepFailed as error:
            if error.type == "shell.exit":
                hint = line_ends(file) if file is not None and self.name == "script.shell" else ""
                error.args = (str(error).replace(program, self.name, 1) + hint,)
                error.type = "script.exit"
            raise
        try:
            result["json"] = json_of(raw)[0]
        except ValueError:
            result["json"] = None
        return result

    def after(self) -> list[str]:
        """What stands between inline code and its arguments."""
        return []


class Python(_Script):
    name = "script.python"
    summary = "Runs Python with python3 from the PATH; only with --allow script."
    programs = ("python3", "python")
    inline = ("-c",)
    example = (
        "call: script.python\nwith:\n  input: ${{ event.data }}\n  code: |\n    import json, sys\n"
        "    data = json.load(sys.stdin)\n    print(json.dumps({'sum': sum(data['numbers'])}))"
    )


class Node(_Script):
    name = "script.node"
    summary = "Runs JavaScript with node from the PATH; only with --allow script."
    programs = ("node", "nodejs")
    inline = ("-e",)
    example = (
        "call: script.node\nwith:\n  input: ${{ event.data }}\n  code: |\n"
        "    const data = JSON.parse(require('fs').readFileSync(0))\n"
        "    console.log(JSON.stringify({sum: data.a + data.b}))"
    )

    def after(self) -> list[str]:
        return ["--"]


class Shell(_Script):
    name = "script.shell"
    summary = "Runs a shell script with sh; data comes by stdin, args and env; only with --allow script."
    programs = ("sh",)
    inline = ("-c",)
    example = 'call: script.shell\nwith:\n  args: ["${{ event.data.name }}"]\n  code: |\n    printf "hello %s" "$1"'

    def after(self) -> list[str]:
        return ["script"]
