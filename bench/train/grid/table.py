"""The grid as one table: ours beside the fastest of each peer at the same base, rank and tokens a step."""

from typing import Any, Final

_PEERS: Final = ("trl", "unsloth")


def table(results: list[dict[str, Any]]) -> str:
    """One line for each point of ours or of a peer alone, by base, tokens, rank and precision."""
    bases = list(dict.fromkeys(result["base"] for result in results))
    rows = sorted(results, key=lambda row: (bases.index(row["base"]), row["tokens"], row["rank"], row["precision"]))
    heads = f"{'base':16}{'tokens':>7}{'rank':>5} {'base in':8}{'program':9}"
    lines = [f"{heads}{'tokens/s':>10}{'to TRL':>8}{'to Unsl.':>9}{'peak':>6}{'GiB':>7}  step, ms: median (least-most)"]
    for row in rows:
        start = f"{row['base']:16}{row['tokens']:>7,}{row['rank']:>5} {row['precision']:8}{row['program']:9}"
        lines.append(start + (f" {row['failed']}" if "failed" in row else _figures(row, results)))
    return "\n".join(lines)


def ratio(row: dict[str, Any], results: list[dict[str, Any]], peer: str) -> float | None:
    """Tokens a second of this point against those of the peer, in its fastest precision; None where it has none."""
    same = ("base", "rank", "tokens")
    speeds = [
        each["tokens_per_s"]
        for each in results
        if each["program"] == peer and "failed" not in each and all(each[name] == row[name] for name in same)
    ]
    return row["tokens_per_s"] / max(speeds) if speeds else None


def _figures(row: dict[str, Any], results: list[dict[str, Any]]) -> str:
    ratios = [ratio(row, results, peer) if row["program"] == "ours" else None for peer in _PEERS]
    to_trl, to_unsloth = ["" if value is None else f"{value:.2f}" for value in ratios]
    least, median, most = (f"{1000 * row['step_s'][name]:.1f}" for name in ("least", "median", "most"))
    share, memory = row["matrix_peak_share"], row["peak_memory_gib"] or 0
    told = "" if row.get("is_loss_falling", True) else "  THE LOSS DOES NOT FALL"
    if "engine" in row and not row["engine"].startswith("engine native"):
        told += f"  {row['engine']}"
    return (
        f"{row['tokens_per_s']:>10,.0f}{to_trl:>8}{to_unsloth:>9}{share:>6.0%}{memory:>7.1f}"
        f"  {median} ({least}-{most}){told}"
    )
