"""The same channels for a real EPICS IOC, plus what only an IOC has: dead bands, slow records, access security."""

DB = """
record(ao, "$(P)NUM") { field(VAL, "1.5") field(PREC, "2") field(PINI, "YES") }
record(longout, "$(P)COUNT") { field(VAL, "7") field(PINI, "YES") }
record(mbbo, "$(P)SWITCH") {
    field(ZRVL, "0") field(ONVL, "1") field(TWVL, "2")
    field(ZRST, "OFF") field(ONST, "ON") field(TWST, "AUTO") field(PINI, "YES")
}
record(stringout, "$(P)TEXT") { field(VAL, "SAFE") field(PINI, "YES") }
record(waveform, "$(P)LONG") { field(FTVL, "CHAR") field(NELM, "200") }
record(waveform, "$(P)WAVE") { field(FTVL, "DOUBLE") field(NELM, "10") }
record(ao, "$(P)FILT_RSET") { field(PINI, "YES") }
record(waveform, "$(P)SINGLE") { field(FTVL, "FLOAT") field(NELM, "1") }
record(waveform, "$(P)WORDS") { field(FTVL, "STRING") field(NELM, "4") }
record(waveform, "$(P)EMPTY") { field(FTVL, "LONG") field(NELM, "5") }
record(ao, "$(P)HIDDEN") { field(ASG, "NOBODY") }
record(ao, "$(P)READONLY") { field(VAL, "3") field(PINI, "YES") field(ASG, "FIXED") }
record(ao, "$(P)CLAMP") { field(DRVH, "10") field(DRVL, "0") field(PINI, "YES") }
record(ao, "$(P)LAG") { field(MDEL, "10") field(PINI, "YES") }
record(ao, "$(P)REFUSE") { field(VAL, "3") field(PINI, "YES") field(DISP, "1") }
"""

#: A write that completes after a minute. For one write only: the next meets a busy link and completes at once.
_SLOW = """
record(ao, "$(P)SLOW%(n)d") { field(FLNK, "$(P)LATER%(n)d") }
record(calcout, "$(P)LATER%(n)d") { field(ODLY, "60") }
"""
DB += "".join(_SLOW % {"n": n} for n in range(4))

ACF = """
ASG(DEFAULT) { RULE(1, WRITE) RULE(1, READ) }
ASG(FIXED) { RULE(1, READ) }
ASG(NOBODY) { RULE(1, NONE) }
"""
