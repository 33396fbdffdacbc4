"""Tables of what the search does: its sample, networks that ship or are shared, trials."""

from benchmarks.reproduction.table import formed, read


def shipped() -> str:
    """Gains of what ships, mean of two clips."""
    forms = {"network": "{network}", "streams": "{codec}, crf {crf:g}"}
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
