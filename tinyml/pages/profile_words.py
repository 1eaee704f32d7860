"""A profile in sentences, for the terminal and the report."""

from __future__ import annotations

from tinyml.core.profile import Profile

BUSY = 0.1


def totals(own: Profile) -> str:
    """Both medians of whole calls, and the sum that shares refer to."""
    plain = f"a call takes {us(own.unprofiled_ns)} us"
    if own.profiled_ns is None:
        return f"{plain}; its parts add up to {us(own.total_ns)} us"
    return (
        f"{plain}, with the profiler {us(own.profiled_ns)} us; its operators add up to "
        f"{us(own.total_ns)} us"
    )


def how(own: Profile) -> str:
    """Where the times come from."""
    if own.method == "profiler":
        busy = ""
        if own.disturbed_share > BUSY:
            share = f"{own.disturbed_share:.0%}"
            busy = f"; other processes took {share} of a call, so the shares may be wrong too"
        return f"measured by the profiler of {own.runtime}: compare shares, not times{busy}"
    clock = ", in CPU time, since the machine was busy" if own.clock == "cpu" else ""
    return (
        f"by difference{clock}: how much longer the file takes if it ends after a part instead of "
        "before it; +- is half of the range over turns"
    )


def us(nanoseconds: float | None) -> str:
    """Microseconds as tables show them."""
    return "-" if nanoseconds is None else f"{nanoseconds / 1000:,.1f}"


def percent(share: float | None) -> str:
    """Of 0 to 1; a dash where it is not known."""
    return "-" if share is None else f"{share:.1%}"
