"""Random flows from a seed. What they compute depends on nothing but their event and the script of outcomes."""

from __future__ import annotations

import random
from typing import Any

import msgspec


class Generator:
    """Writes flows as data (JSON is YAML). Ids are unique; every call is `log`, performed by the simulator."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.also = random.Random(seed + 1_000_000)
        """For what came later: the flows of the seeds that found something stay as they were otherwise."""
        self.count = 0

    def flow(self, name: str, others: list[str]) -> dict[str, Any]:
        document: dict[str, Any] = {"flow": name, "when": [{"event": f"go.{name}"}], "vars": {"n": 0}}
        if self.random.random() < 0.3:
            limit = self.random.randint(1, 2)
            document["concurrency"] = {"key": "event.data.key", "limit": limit, "when_busy": "queue"}
        document["do"] = self.steps(self.random.randint(1, 4), 3, others)
        if self.random.random() < 0.3:
            document["emit"] = "flow.done"
        if self.random.random() < 0.3:
            document["finally"] = [self.call()]
        document["output"] = "${{ vars }}"
        return document

    def steps(self, count: int, depth: int, others: list[str]) -> list[Any]:
        return [self.step(depth, others) for _ in range(count)]

    def call(self) -> dict[str, Any]:
        self.count += 1
        step: dict[str, Any] = {"id": f"c{self.count}", "call": "log", "with": {"message": "${{ vars.n }}"}}
        step["repeat"] = self.random.choice(["safe", "keyed", "keyed"])
        if self.random.random() < 0.6:
            step["retry"] = {"times": self.random.randint(1, 3), "wait": f"{self.random.randint(1, 4)}s"}
        if self.random.random() < 0.3:
            self.count += 1
            step["on_error"] = [{"set": {f"e{self.count}": "${{ error.type }}"}}]
        return step

    def step(self, depth: int, others: list[str]) -> dict[str, Any]:
        self.count += 1
        n = self.count
        kinds = ["call", "call", "set", "wait", "emit"]
        if depth > 0:
            kinds += ["if", "parallel", "foreach", "while", "try"]
            if others:
                kinds.append("run")
        kind = self.random.choice(kinds)
        inner = depth - 1
        if kind == "call":
            return self.call()
        if kind == "set":
            return {"set": {f"v{n}": f"${{{{ vars.n + {n} }}}}"}}
        if kind == "wait":
            seconds = self.random.randint(1, 30)
            if self.also.random() < 0.2:
                late = [{"set": {f"l{n}": "${{ error.type }}"}}, {"wait": "1s"}, {"emit": "step.late", "data": n}]
                return {"wait": "1h", "timeout": f"{seconds}s", "on_timeout": {"do": late}}
            return {"wait": f"{seconds}s"}
        if kind == "emit":
            return {"emit": "step.note", "data": {"n": n}}
        if kind == "if":
            test = f"event.data.x % {self.random.randint(2, 3)} == 0"
            return {"if": test, "then": self.steps(1, inner, others), "else": self.steps(1, inner, others)}
        if kind == "parallel":
            count = self.random.randint(2, 3)
            branches = {f"b{n}_{i}": self.steps(self.random.randint(1, 2), inner, others) for i in range(count)}
            return {"parallel": branches, **({"join": "settled"} if self.also.random() < 0.3 else {})}
        if kind == "foreach":
            once = self.random.choice([1, 1, 2])
            body = [self.call()] if once > 1 else self.steps(1, inner, [])
            return {"foreach": [1, 2, 3][: self.random.randint(1, 3)], "at_once": once, "do": body}
        if kind == "while":
            name = f"w{n}"
            body = [{"set": {name: f"${{{{ default(vars.{name}, 0) + 1 }}}}"}}, *self.steps(1, inner, [])]
            return {"while": f"default(vars.{name}, 0) < {self.random.randint(1, 3)}", "max": 10, "do": body}
        if kind == "try":
            return {"try": self.steps(1, inner, others), "on_error": [{"set": {f"t{n}": 1}}]}
        return {"run": self.random.choice(others), "with": {"x": n, "key": "k"}}


def flows(seed: int) -> list[str]:
    """The texts of a few flows; later ones may call earlier ones."""
    generator = Generator(seed)
    names: list[str] = []
    texts = []
    for index in range(generator.random.randint(1, 3)):
        name = f"f{index}"
        texts.append(msgspec.json.encode(generator.flow(name, list(names))).decode())
        if '"emit": "flow.done"' not in texts[-1]:
            names.append(name)
    texts.append(
        '{"flow": "notes", "when": [{"event": "step.note"}, {"event": "flow.done"}], "do": [{"set": {"a": 1}}]}'
    )
    return texts
