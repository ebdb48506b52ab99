"""Model cards: a prior's metrics as a page of Markdown and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moldesign.benchmarks.metrics import FrechetComparison, PriorMetrics
from moldesign.policy.checkpoint import Provenance
from moldesign.policy.training import HALF_PRECISION_TOLERANCE
from moldesign.records.files import writing

VALIDITY_BAR = 0.97
UNIQUENESS_BAR = 0.99
#: How far above its floor the FCD of a prior may be, for those that promise it.
FCD_BARS = {"zinc250k": 0.2}

_CORPUS_COLOUR, _PRIOR_COLOUR = "0.72", "tab:blue"


def draw_figure(
    metrics: PriorMetrics, generated: Mapping[str, np.ndarray], corpus: Mapping[str, np.ndarray], path: Path
) -> None:
    """Write a PNG: each property's distribution beside the corpus's, and the curve of the training.

    Raises:
        UsageError, ResourceError: the path cannot be written; the disk is full.
    """
    figure = Figure(figsize=(10, 5.8), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).flatten()
    for axes, name in zip(panels, generated, strict=False):
        _draw_distribution(axes, name, generated[name], corpus[name])
    panels[0].legend(frameon=False, fontsize=8)
    _draw_training(panels[-1], metrics)
    figure.suptitle(
        f"{metrics.name}: {metrics.compared:,} valid samples beside as many molecules of the training split",
        fontsize=10,
    )
    with writing(path) as temporary:
        # Without the version in it, the same figures draw the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_distribution(axes: Axes, name: str, generated: np.ndarray, corpus: np.ndarray) -> None:
    both = np.concatenate([generated, corpus])
    if np.array_equal(both, both.round()):
        # A bar for each whole number.
        edges = np.arange(both.min(), both.max() + 2) - 0.5
    else:
        # A stray molecule would squeeze the rest into one bar: it counts in the bar at the edge.
        edges = np.linspace(float(np.quantile(both, 0.001)), float(np.quantile(both, 0.999)), 41)
    low, high = edges[0], edges[-1]
    axes.hist(corpus.clip(low, high), edges.tolist(), density=True, color=_CORPUS_COLOUR, label="corpus")
    axes.hist(
        generated.clip(low, high),
        edges.tolist(),
        density=True,
        histtype="step",
        color=_PRIOR_COLOUR,
        linewidth=1.5,
        label="prior",
    )
    axes.set_xlabel(name)
    axes.set_yticks([])


def _draw_training(axes: Axes, metrics: PriorMetrics) -> None:
    curve, epochs = metrics.training.curve, metrics.training.epochs
    axes.plot([s for s, _ in curve], [loss for _, loss in curve], color="0.5", linewidth=1, label="training")
    tokens = metrics.likelihood.tokens
    axes.plot(
        [e.step for e in epochs],
        [e.validation_nll / tokens for e in epochs],
        "o-",
        color="tab:orange",
        markersize=4,
        label="held out",
    )
    # The first steps fall from ln(vocabulary) and would flatten the rest.
    shown = [loss for _, loss in curve[len(curve) // 20 :]] + [e.validation_nll / tokens for e in epochs]
    if shown:
        margin = 0.05 * (max(shown) - min(shown)) or 0.1
        axes.set_ylim(min(shown) - margin, max(shown) + margin)
    axes.set_xlabel("gradient steps")
    axes.set_ylabel("NLL (nats a token)")
    axes.legend(frameon=False, fontsize=8)


def model_card(metrics: PriorMetrics) -> str:
    """The card of a prior in Markdown, to lie beside its file, figure and metrics."""
    m, p, q = metrics, metrics.provenance, metrics.quality
    shape = m.architecture
    dropout = f", dropout {shape.dropout:g}" if shape.dropout else ""
    lines = [
        f"# Prior `{m.name}`",
        "",
        f"A recurrent network that writes SMILES like those of its corpus: {shape.layers} x "
        f"{shape.hidden_size} {shape.cell.upper()}, embedding {shape.embedding_size}{dropout}, "
        f"{m.parameters / 1e6:.2f} million parameters, a vocabulary of {m.vocabulary} tokens.",
        "",
        *_table(
            ("", ""),
            ("file", f"`{m.name}.safetensors`, {m.size / 1e6:.1f} MB, SHA-256 `{m.sha256}`"),
            (
                "corpus",
                f"{', '.join(Path(c).name for c in p.corpora)}; SHA-256 of the SMILES `{p.corpus_sha256}`",
            ),
            ("molecules", f"{p.molecules:,} trained on, {m.held_out:,} held out"),
            ("licence of the data", p.corpus_licence or "not stated"),
            *(("trained before by", _stage(earlier)) for earlier in p.lineage()[:-1]),
            ("command", f"`{p.command}`" if p.command else "not recorded"),
            ("seed", str(p.seed)),
            ("time", _training_time(m)),
            ("machine", p.machine or "not recorded"),
            ("versions", ", ".join(f"{k} {v}" for k, v in p.versions.items()) or "not recorded"),
        ),
        "",
        "## What it writes",
        "",
        f"{q.sampled:,} samples at temperature 1 from seed {m.seed} (the training used "
        f"{m.training.settings.seed}), none left out:",
        "",
        *_table(
            ("metric", "value", "bar"),
            ("valid", _percent(q.validity), _bar(q.validity, VALIDITY_BAR)),
            ("unique among valid", _percent(q.uniqueness), _bar(q.uniqueness, UNIQUENESS_BAR)),
            ("novel among unique", _percent(q.novelty), ""),
        ),
        "",
        "Valid: it ends within the maximum length and RDKit reads a molecule from it. Unique: by canonical "
        "isomeric SMILES. Novel: not in the training split.",
        *_invalid(m),
        "",
        *_frechet(m),
        f"## Properties of {m.compared:,} valid samples beside the corpus",
        "",
        *_table(
            ("property", "prior, mean (s.d.)", "corpus, mean (s.d.)", "distance", "floor"),
            *(
                (
                    name,
                    f"{s.mean:.4g} ({s.deviation:.3g})",
                    f"{s.corpus_mean:.4g} ({s.corpus_deviation:.3g})",
                    f"{s.distance:.2g}",
                    f"{s.floor:.2g}",
                )
                for name, s in m.properties.items()
            ),
        ),
        "",
        "Distance: Wasserstein, in units of the property, to as many molecules of the training split. "
        "Floor: the same between two disjoint real samples of that size.",
        "",
        f"![Distributions and training curve]({m.name}.png)",
        "",
        "## Training",
        "",
        *_table(
            ("epoch", "step", "held-out NLL (nats a molecule)", "hours"),
            *(
                (str(e.epoch), f"{e.step:,}", f"{e.validation_nll:.3f}", f"{e.seconds / 3600:.2f}")
                for e in m.training.epochs
            ),
        ),
        "",
        f"Settings: {_settings(m)}.",
        "",
        f"NLL of the file as it is stored: {m.likelihood.held_out:.3f} nats a held-out molecule "
        f"({m.likelihood.held_out / m.likelihood.tokens:.4f} a token), {m.likelihood.training:.3f} "
        f"a training molecule, {m.likelihood.samples:.3f} a sample of its own.",
        "",
        _storage(m),
        "",
        "## Repeat the measurement",
        "",
        "```",
        str(m.environment["command"]),
        "```",
        "",
        f"It took {_time(m.seconds)} on {_machine(m)}. All figures are in `{m.name}.json`.",
    ]
    return "\n".join(lines) + "\n"


def _stage(earlier: Provenance) -> str:
    """An earlier training of the same policy: its command, how long it was, and where."""
    command = f"`{earlier.command}`" if earlier.command else "not recorded"
    return f"{command}; {earlier.steps:,} steps; {earlier.machine or 'machine not recorded'}"


def _table(*rows: tuple[str, ...]) -> list[str]:
    texts = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [texts[0], "|" + "---|" * len(rows[0]), *texts[1:]]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _bar(value: float, bar: float) -> str:
    return f"at least {100 * bar:g}%: {'met' if value >= bar else '**missed**'}"


def _invalid(m: PriorMetrics) -> list[str]:
    if not m.quality.invalid:
        return []
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in m.quality.invalid.items())
    return ["", f"Why the {m.quality.sampled - m.quality.valid:,} others are no molecules: {reasons}."]


def _frechet(m: PriorMetrics) -> list[str]:
    if m.fcd is None:
        return []
    bar = FCD_BARS.get(m.name)

    def row(what: str, c: FrechetComparison) -> tuple[str, ...]:
        verdict = ""
        if bar is not None:
            verdict = f"at most {bar:g}: {'met' if c.excess <= bar else '**missed**'}"
        label = f"{c.generated:,} valid samples against {c.reference:,} {what} molecules"
        return label, f"{c.distance:.3f}", f"{c.floor:.3f}", f"{c.excess:+.3f}", verdict

    return [
        "## Fréchet ChemNet Distance",
        "",
        *_table(
            ("", "prior", "floor", "above the floor", "bar"),
            row("held-out", m.fcd.held_out),
            row("training", m.fcd.training),
        ),
        "",
        f"fcd {m.environment['versions']['fcd']}. FCD depends on the numbers of molecules, so each floor is "
        "the FCD of real training molecules, as many as the samples and others than the reference, against "
        "the same reference. All held-out molecules are taken.",
        "",
    ]


def _training_time(m: PriorMetrics) -> str:
    done, asked = len(m.training.epochs), m.training.settings.epochs
    state = "to the end" if done >= asked else "stopped early, no more gain"
    if not m.training.finished:
        state = "**not finished**"
    best = min(m.training.epochs, key=lambda e: e.validation_nll).epoch if m.training.epochs else 0
    return (
        f"{_time(m.training.seconds)}, {done} of {asked} epochs ({state}); the file is of epoch {best}, "
        f"step {m.provenance.steps:,}"
    )


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _settings(m: PriorMetrics) -> str:
    return ", ".join(f"{key} {value}" for key, value in m.training.settings.model_dump().items())


def _storage(m: PriorMetrics) -> str:
    s = m.storage
    what = "Rounding to half precision changes" if s.precision == "float16" else "Half precision would change"
    return (
        f"Stored in {s.precision}. {what} the log-likelihood by {s.difference:.1e} nats a token on "
        f"average, of {s.molecules:,} held-out molecules (the bar is {HALF_PRECISION_TOLERANCE:g})."
    )


def _machine(m: PriorMetrics) -> str:
    e = m.environment
    device = e["accelerator"] or e["processor"]
    return f"{device} ({e['threads']} thread{'s' if e['threads'] != 1 else ''})"
