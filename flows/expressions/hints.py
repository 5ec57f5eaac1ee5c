"""What people write by the habit of other languages, and what it is called here."""

from __future__ import annotations

import re

_CLOCK = "an expression reads no clock; run.started is when the run began, event.scheduled_at when it was due"
_CHANCE = "an expression gives the same value each time; run.id and event.id are different for each run and event"

FUNCTIONS: dict[str, str] = {
    **dict.fromkeys(
        ("now", "utcnow", "today", "time", "timestamp", "current_time", "current_date", "datetime"), _CLOCK
    ),
    **dict.fromkeys(("uuid", "uuid4", "guid", "random", "rand", "randint", "random_int", "nanoid", "ulid"), _CHANCE),
    **dict.fromkeys(("length", "size", "count_of"), "write len(x)"),
    **dict.fromkeys(("toJSON", "to_json", "tojson", "dumps", "stringify", "json_encode"), "write json(x)"),
    **dict.fromkeys(("fromJSON", "fromjson", "parse_json", "loads", "json_decode", "parse"), "write from_json(s)"),
    **dict.fromkeys(("coalesce", "ifnull", "nvl", "get", "try"), "write default(a.b.c, 0)"),
    **dict.fromkeys(("defined", "exists", "isset", "hasattr"), "write has(a.b.c)"),
    **dict.fromkeys(("iif", "ifelse", "ternary", "cond"), "write `x if condition else y`"),
    **dict.fromkeys(("map", "filter", "select", "where", "reduce"), "write [f(x) for x in list if condition]"),
    **dict.fromkeys(("concat", "format", "sprintf", "printf"), 'write an f-string: f"{a} and {b}"'),
    **dict.fromkeys(("print", "log", "echo"), "an expression only gives a value; the action `log` writes a line"),
    **dict.fromkeys(("first", "head"), "write list[0]"),
    **dict.fromkeys(("last", "tail"), "write list[-1]"),
    **dict.fromkeys(("string", "toString", "to_string"), "write str(x)"),
    **dict.fromkeys(("number", "parseInt", "parse_int", "to_int", "toInt"), "write int(x)"),
    **dict.fromkeys(("parseFloat", "parse_float", "to_float", "decimal"), "write float(x)"),
    **dict.fromkeys(("empty", "isEmpty", "is_empty"), "write `not x`: what is empty is false"),
    **dict.fromkeys(("type", "typeof", "isinstance"), "compare the value with == or `in`; kinds never mix in silence"),
    **dict.fromkeys(("trim",), "write strip(s)"),
    **dict.fromkeys(("substring", "substr", "slice"), "write s[0:5]"),
    **dict.fromkeys(("regex", "regexp", "match", "test"), "write matches(s, pattern) or extract(s, pattern)"),
    **dict.fromkeys(("md5", "sha1"), "write sha256(s)"),
    **dict.fromkeys(("distinct", "uniq"), "write unique(list)"),
    **dict.fromkeys(("sort", "order_by", "orderBy"), "write sorted(list, by)"),
    **dict.fromkeys(("env", "getenv"), "write env.NAME"),
    **dict.fromkeys(("secret", "secrets"), "write secrets.NAME, in `with` of a call"),
    **dict.fromkeys(("dict", "object"), 'write {"key": value}'),
    **dict.fromkeys(("success", "failure", "always", "cancelled"), "`on_error` and `finally` say what runs then"),
}
METHODS: dict[str, str] = {
    **{name: hint for name, hint in FUNCTIONS.items() if name not in ("get", "match", "test", "format", "where")},
    **dict.fromkeys(("get",), 'write default(a.b, 0), or a["b"]'),
    **dict.fromkeys(("join",), 'write join(list, ",")'),
    **dict.fromkeys(("includes", "contains", "indexOf", "index", "has"), "write `x in list`"),
    **dict.fromkeys(("push", "append", "extend", "add", "insert"), "values do not change; write list + [x]"),
    **dict.fromkeys(("update", "assign"), "values do not change; write merge(a, b)"),
    **dict.fromkeys(("toUpperCase", "toUpper", "upcase"), "write s.upper()"),
    **dict.fromkeys(("toLowerCase", "toLower", "downcase"), "write s.lower()"),
    **dict.fromkeys(("startsWith", "hasPrefix"), "write s.startswith(x)"),
    **dict.fromkeys(("endsWith", "hasSuffix"), "write s.endswith(x)"),
    **dict.fromkeys(("replaceAll",), "write s.replace(old, new)"),
    **dict.fromkeys(("trim",), "write s.strip()"),
    **dict.fromkeys(("match", "test", "search"), "write matches(s, pattern) or extract(s, pattern)"),
    **dict.fromkeys(("format",), 'write an f-string: f"{a} and {b}"'),
    **dict.fromkeys(("sort",), "write sorted(list, by)"),
    **dict.fromkeys(("reverse",), "write reversed(list)"),
    **dict.fromkeys(("isoformat", "strftime"), "write format_date(t, format)"),
    **dict.fromkeys(("encode", "decode"), "text is UTF-8; base64(s), hex(s) and url_encode(s) write it in other forms"),
}
NAMES: dict[str, str] = {
    **dict.fromkeys(("now", "today", "timestamp"), _CLOCK),
    **dict.fromkeys(("uuid", "random"), _CHANCE),
    **dict.fromkeys(("none", "NONE", "nil", "NULL", "Null", "undefined", "nothing"), "write null"),
    **dict.fromkeys(("TRUE", "yes", "on"), "write true"),
    **dict.fromkeys(("FALSE", "no", "off"), "write false"),
    **dict.fromkeys(("github", "context", "ctx", "payload", "request", "body", "data", "message", "msg", "this"),
                    "what started the run is `event`: event.body, event.headers and so on"),
    **dict.fromkeys(("params", "query", "headers"), "it is a field of `event`, such as event.headers"),
    **dict.fromkeys(("variables", "var"), "what `set` made is vars.NAME"),
    **dict.fromkeys(("results", "outputs", "needs", "jobs"), "a step's value is steps.ID"),
    **dict.fromkeys(("environ", "ENV", "process"), "a variable of the environment is env.NAME"),
}  # fmt: skip
_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"&&|\|\|", "write `and` and `or` for && and ||"),
    (r"===", "write == for ==="),
    (r"!==", "write != for !=="),
    (r"<>", "write != for <>"),
    (r"\?\?", "write default(a.b, 0) for ??"),
    (r"\?\.", "write default(a.b.c, null) or has(a.b.c) for ?."),
    (r"=>", "write [f(x) for x in list] for => functions"),
    (r"\?.*:", "write `x if condition else y` for ? :"),
    (r"\+\+|--\s*$", "values do not change here; a `set` step makes a new one"),
    (r"(?<![=!<>])!(?!=)", "write `not` for !"),
    (r"\$\{|\{\{|\}\}", "an expression stands between ${{ and }} in data, and bare in keys such as only_if"),
    (r"\$\w", "write a name without $"),
    (r"`", 'write text in quotes: "a" or \'a\'; f"{x}" has a value in it'),
    (r"\bnew\s+Date\b", _CLOCK),
    (r"(?i)\bis\s+not\s+(empty|defined)\b|\bis\s+(empty|defined)\b", "write has(a.b), or `not x`"),
)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def syntax(body: str) -> str | None:
    """What to write instead, when the source has the mark of another language outside its quotes."""
    bare = _QUOTED.sub('""', body)
    for pattern, hint in _PATTERNS:
        if re.search(pattern, bare):
            return hint
    return None


OPERATORS: dict[str, str] = {
    "BitOr": "write `or`; functions stand before their values: len(x), not x | length",
    "BitAnd": "write `and`",
    "BitXor": "write ** for a power",
    "Invert": "write `not`",
}
