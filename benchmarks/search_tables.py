"""Tables of what the search does: its sample, networks that ship or are shared, trials, ladders."""

from benchmarks.reproduction.table import formed, markdown, read


def shipped() -> str:
    """Gains of what ships, mean of two clips."""
    forms = {"network": "{network}", "streams": "{codec}, {lr}, crf {crf:g}"}
    forms |= {"Y / RGB gained, dB": "{gain_psnr_y:+.3f} / {gain_psnr_rgb:+.3f}"}
    forms |= {"promised, Y": "{promised_psnr_y:+.3f}", "a package keeps": "{kept_psnr_y:+.3f}"}
    forms |= {"routes by RGB's error": "{by_rgb_psnr_y:+.3f} / {by_rgb_psnr_rgb:+.3f}"}
    forms |= {"control": "{control_network}"}
    forms |= {"its gain": "{control_psnr_y:+.3f} / {control_psnr_rgb:+.3f}"}
    return formed(read("shipped")["means"], forms)


def hopes() -> str:
    """Trials of searches that tried everything, under the bounds of today."""
    forms = {"clips": "{part}", "searches": "{searches}", "networks tried then": "{trials}"}
    forms |= {"left out now": "{left_out}", "the best among these": "{best_left_out}"}
    forms |= {"gain over its bound, median": "{of_bound_median:.2f}", "most": "{of_bound_most:.2f}"}
    forms |= {"beyond it": "{beyond_bound}"}
    return formed(read("hopes")["rows"], forms)


def shared_networks() -> str:
    """Each stream by another rung's network."""
    forms = {"rung": "{package}", "with the network of": "{network_of}"}
    forms |= {"loses, dB": "{lost_db:+.3f}", "as bytes": "{lost_bytes:+.2%}"}
    forms |= {"its own network, of its bytes": "{saved_bytes:.2%}"}
    rows = read("shared_networks")["rows"]
    return formed(sorted(rows, key=lambda row: not row["finer"]), forms)


def samples() -> str:
    """How far off a film's bytes a sample is."""
    forms = {"film": "{film}", "segments": "{segments}", "of them in the sample": "{portions}"}
    forms |= {"bytes": "{bytes:,}", "the sample is off by": "{off:+.1%}"}
    return formed(read("samples")["rows"], forms | {"evenly spread": "{off_evenly_spread:+.1%}"})


def ladders() -> str:
    """Whole ladders beside the plain side."""
    rows = []
    for row in read("ladders")["rows"]:
        rungs, rates = row["rungs"], row["rates"]
        kbps = (rung["bytes"]["total"] / 125 / rung["seconds"] for rung in rungs)
        shown = " / ".join(f"{rung['quality']['psnr_y']:.1f}" for rung in rungs)
        told = {"shot": row["shot"], "codec": row["codec"]}
        told |= {"rungs, kbps": " / ".join(f"{rate:.0f}" for rate in kbps), "PSNR-Y, dB": shown}
        told |= {"with a network": f"{sum(r['widths'] is not None for r in rungs)} of {len(rungs)}"}
        for head, metric in (("PSNR-Y", "psnr_y"), ("RGB", "psnr_rgb"), ("XPSNR", "xpsnr_y")):
            percent = rates.get(metric, {}).get("percent")
            told[f"BD-rate {head}"] = "-" if percent is None else f"{percent:+.1f} %"
        rows.append(told)
    return markdown(rows)
