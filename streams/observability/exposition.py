"""Pages of metrics in Prometheus' text format, put together from those of several processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.streams.observability.names import MetricName


def render(metric: MetricName, samples: Iterable[tuple[Mapping[str, str], float]]) -> str:
    """Return the page of one metric without suffixes: labels and value of each sample.

    Examples
    --------
    >>> from millrace.streams.observability.names import AGENT_UP
    >>> print(render(AGENT_UP, [({"agent": "drift"}, 1.0)]), end="")
    # HELP millrace_agent_up 1 while an agent has its partitions.
    # TYPE millrace_agent_up gauge
    millrace_agent_up{agent="drift"} 1.0
    """
    name = metric.total if metric.kind == "counter" else str(metric)
    lines = [f"# HELP {name} {metric.documentation}", f"# TYPE {name} {metric.kind}"]
    for labels, value in samples:
        given = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{given}}} {float(value)!r}")
    return "\n".join(lines) + "\n"


def labelled(page: str, label: str, value: str) -> str:
    r"""Return a page with one more label on each sample.

    Examples
    --------
    >>> print(labelled('up 1.0\nmade{what="pig"} 2.0\n', "process", "3"), end="")
    up{process="3"} 1.0
    made{process="3",what="pig"} 2.0
    """
    pair = f'{label}="{_escaped(value)}"'
    return "".join(_with(pair, line) for line in page.splitlines(keepends=True))


def merge(pages: Iterable[str]) -> str:
    r"""Return one page, in which the samples of a metric stand together, as the format demands.

    Examples
    --------
    >>> one, other = "# TYPE up gauge\nup 1\n# TYPE made counter\n", "# TYPE up gauge\nup 0\n"
    >>> print(merge([one, other]), end="")
    # TYPE up gauge
    up 1
    up 0
    # TYPE made counter
    """
    families: dict[str, tuple[list[str], list[str]]] = {}
    for page in pages:
        family: tuple[list[str], list[str]] = ([], [])
        for line in page.splitlines(keepends=True):
            if not line.startswith("# "):
                family[1].append(line)
                continue
            family = families.setdefault(line.split(" ", 3)[2], ([], []))
            if line not in family[0]:
                family[0].append(line)
    return "".join(line for head, samples in families.values() for line in (*head, *samples))


def _with(pair: str, line: str) -> str:
    if line.startswith("#") or not line.strip():
        return line
    name_end = min(at for at in (line.find("{"), line.find(" ")) if at >= 0)
    name, rest = line[:name_end], line[name_end:]
    return f"{name}{{{pair},{rest[1:]}" if rest[0] == "{" else f"{name}{{{pair}}}{rest}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
