"""Operator screens for the programs that sites have: one model of them, and a writer for each program.

========================  ============================================================================================
`model`                   what a screen is made of
`colours`                 what each colour means
`naming`, `parts`         what screens call PVs, and each other; what screens of a node have in common
`strip`, `node`           the screens: one line of a node, all of a node,
`states`, `wall`          a button for each of its states, all nodes
`adl`, `bob`, `pydm`      the writers: MEDM, Phoebus, PyDM
========================  ============================================================================================

All is text made of text: what a node has follows from the table of PVs and the graph of its module.
"""
