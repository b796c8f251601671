"""Reading a worker's `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families


class Samples:
    r"""The samples of one scrape.

    Parameters
    ----------
    samples
        (name, labels, value) each; names with the suffixes of Prometheus, `_total` and `_bucket`.

    Examples
    --------
    >>> samples = Samples.parse('made_total{what="pig"} 2.0\nmade_total{what="cat"} 3.0\n')
    >>> samples.total("made_total"), samples.total("made_total", what="cat")
    (5.0, 3.0)
    >>> samples.by("what", "made_total")
    {'pig': 2.0, 'cat': 3.0}
    """

    def __init__(self, samples: list[tuple[str, Mapping[str, str], float]]) -> None:
        self._by_name: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for name, labels, value in samples:
            self._by_name.setdefault(name, []).append((labels, value))

    @classmethod
    def parse(cls, exposition: str) -> Samples:
        """Return the samples in Prometheus' text format, in full precision."""
        return cls(
            [
                (sample.name, sample.labels, sample.value)
                for family in text_string_to_metric_families(exposition)
                for sample in family.samples
            ]
        )

    def select(self, name: str, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """Yield labels and value of every sample that has at least these labels."""
        for found, value in self._by_name.get(name, ()):
            if labels.items() <= found.items():
                yield found, value

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have at least these labels; 0 without any."""
        return sum(value for _, value in self.select(name, **labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return value of `label` to the sum of its samples that have at least these labels."""
        sums: dict[str, float] = {}
        for found, value in self.select(name, **labels):
            sums[found[label]] = sums.get(found[label], 0.0) + value
        return sums

    def counted(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return what `by` does, of what is not 0: much begins at 0 that never happens."""
        return {value: each for value, each in self.by(label, name, **labels).items() if each}
