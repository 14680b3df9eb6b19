"""A lock of 150 states, as large as those of the field: a main line, branches, resets, and three goto states.

    INIT -> DOWN -> PREPARE_START -> ... -> PREPARE_DONE -> GREEN_START -> ... -> LOW_NOISE_DONE, and two states beyond

Beside each stage stands a way around some of its steps, a measurement that comes back, or an end. All of them have
numbers between those of the main line, as people give them. It touches no channel.
"""

from itertools import pairwise

from guardian import GuardState

STAGES = [
    *("PREPARE", "GREEN", "X_ARM", "Y_ARM", "OFFSETS", "MICHELSON", "RECYCLING", "INFRARED", "HANDOVER"),
    *("REDUCTION", "RESONANCE", "ALIGNMENT", "SIDEBANDS", "POWER_UP", "OFFLOAD", "OUTPUT", "SQUEEZING", "LOW_NOISE"),
]
STEPS = ["START", "ENGAGE", "TUNE", "CHECK", "WAIT", "DONE"]

request = "DOWN"
nominal = "LOW_NOISE_DONE"


def define(name, index, **attributes):
    globals()[name] = type(name, (GuardState,), {"__doc__": f"Does {name}.", "index": index, **attributes})
    return name


def branch(start, index, *names, back=None):
    """States that leave the main line at `start`, and come back to it at `back` if that is given."""
    states = [define(f"{start}_{name}", index + number, request=False) for number, name in enumerate(names, 1)]
    edges.extend(pairwise([start, *states, *([back] if back else [])]))


define("INIT", 0, request=False)
define("DOWN", 2, goto=True)
define("LOCKLOSS", 3, goto=True, request=False)
define("EARTHQUAKE", 4, goto=5)
edges = [("INIT", "DOWN"), ("LOCKLOSS", "DOWN"), ("EARTHQUAKE", "DOWN")]
line = ["DOWN"]

for number, stage in enumerate(STAGES, 1):
    for at, step in enumerate(STEPS):
        line.append(define(f"{stage}_{step}", 100 * number + 10 * at, request=step == "DONE"))
    match number % 3:
        case 0:
            branch(f"{stage}_START", 100 * number, "BY_HAND", "NUDGED", "CAUGHT", back=f"{stage}_CHECK")
        case 1:
            branch(f"{stage}_DONE", 100 * number + 50, "MEASURE", "MEASURED", back=f"{stage}_DONE")
        case 2:
            branch(f"{stage}_TUNE", 100 * number + 20, "FAILED")
            edges.append((f"{stage}_TUNE_FAILED", f"{stage}_START"))
    edges.append((f"{stage}_CHECK", f"{stage}_START"))
    edges.append((f"{stage}_WAIT", f"{stage}_TUNE"))
    edges.append((f"{stage}_DONE", f"{STAGES[max(0, number - 2)]}_START"))
    edges.append((f"{stage}_DONE", f"{STAGES[max(0, number - 6)]}_DONE", 3))

line += [define("CALIBRATED", 2000), define("OBSERVING", 2010)]
edges += pairwise(line)
edges = list(dict.fromkeys(edge for edge in edges if edge[0] != edge[1]))
