"""States and decorators made by functions; the name bound here is the name of the state; attributes set afterwards."""

from factory_lib import check_alert, decorator_if, get_idle_state, kill_streams, set_config
from guardian import GuardState

streams = ['a', 'b']
alerts = []

IDLE = get_idle_state()
IDLE.index = 3
SET_FOR_FPMI = set_config('FPMI')
SET_FOR_FPMI.index = 4
SET_FOR_PRMI = set_config('PRMI')
SET_FOR_PRMI.index = 5
SET_FOR_PRMI.request = False

for number in range(2):
    globals()['STEP_%d' % number] = set_config('step %d' % number)


class INJECT(GuardState):
    index = 6

    @check_alert(alerts, 'ALERTED')
    def main(self):
        log('injecting')

    @check_alert(alerts, 'ALERTED')
    @kill_streams(streams)
    @decorator_if(False)
    def run(self):
        alerts.append('GRB')


class ALERTED(GuardState):
    index = 7

    def run(self):
        return not streams and alerts == ['GRB']


edges = [('INIT', 'IDLE'), ('IDLE', 'INJECT')]
