"""caproto's server, made to behave as the server of a C IOC does. It knows nothing of guardian.

The channels stay caproto's: any ``ChannelData``, any ``PVGroup``. What is ours is the way from a channel to its clients
and back, since that decides whether one client can silence the others::

    search.py     is a name here        -> answered in the call that receives the datagram
    beacons.py    I am here             -> after a start, and then ever more slowly
    connection.py one client            -> its messages in order, in plain calls; fair
    circuit.py    what it asks          -> channels, subscriptions, values, rights
    puts.py       what it writes        -> taken or refused, as a C IOC does
    audience.py   who listens           -> O(1) to come and go; masks; what is an event
    filters.py    what a name asks for  -> parts of arrays, dead bands
    packing.py    a value as bytes      -> once for all who asked for the same
    line.py       what waits to be sent -> bounded, the latest value wins, order is kept; who never reads is closed
    pacing.py     producers             -> no faster than the server can deliver
    cheap.py      channels              -> whose writes cost what they change
    context.py    the whole             -> starts and stops
    complaints.py the log               -> few lines about bad clients
    ask.py        is it elsewhere too?  -> the servers that have a name, and their texts: a client, for one question
    wire.py, sockets.py                 -> messages, ports

Nothing is imported here: who only asks (`ask.py`) needs no server, nor caproto.

``bench/server.py`` measures it beside a C IOC.
"""
