"""How far another training seed moves the score: the pooled relative spread of replicated entries.

`python -m tests.measure.seed_spread SWEEP [--home HOME]` reads a sweep whose best entries were
trained again (`bench confirm SWEEP --top 10 --seeds 3`), takes the standard deviation of
log(score) over the new seeds of each entry, pools them, and prints the relative spread, its
degrees of freedom and the sampling error that is part of it.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from bench.sweep.record.board_rows import rows
from bench.sweep.record.home import Home


@click.command()
@click.argument("sweep")
@click.option("--home", type=click.Path(path_type=Path))
def main(sweep: str, home: Path | None) -> None:
    replicas: dict[str, list[tuple[float, float]]] = {}
    for row in rows(Home.find(home).history(sweep)):
        if row.origin == "confirm" and row.score is not None:
            sampling = (row.score_se or 0.0) / row.score
            replicas.setdefault(row.entry_id, []).append((float(np.log(row.score)), sampling))
    several = [values for values in replicas.values() if len(values) > 1]
    df = sum(len(values) - 1 for values in several)
    if df == 0:
        raise click.ClickException(f"no entry of {sweep} was trained from two new seeds")
    squares = sum(float(np.var([v for v, _ in values])) * len(values) for values in several)
    sampling = float(np.mean([s**2 for values in several for _, s in values])) ** 0.5
    for values in several:
        logs = np.array([v for v, _ in values])
        click.echo(f"mean {np.exp(logs.mean()):8.3f}  sd {logs.std(ddof=1):.3f}  n {len(logs)}")
    total = (squares / df) ** 0.5
    training = max(total**2 - sampling**2, 0.0) ** 0.5
    click.echo(
        f"relative spread between seeds {total:.3f} on {df} degrees of freedom; "
        f"sampling alone {sampling:.3f}, training alone {training:.3f}"
    )


if __name__ == "__main__":
    main()
