"""Watches and commands another node, and itself, by the plain PVs that guardian serves."""

from guardian import GuardState, GuardStateDecorator

optics = list(map(lambda name: name.upper(), ['vis_optic1']))
request = 'IDLING'


class sdf_check(GuardStateDecorator):
    def pre_exec(self):
        if [optic for optic in optics if ezca['GRD-%s_STATE' % optic] == 'TRIPPED']:
            return 'FOUND_TRIPPED'


class IDLING(GuardState):
    index = 1
    goto = True


class ALL_ALIGNED(GuardState):
    index = 2

    def main(self):
        for optic in optics:
            ezca['GRD-' + optic + '_REQUEST'] = 'ALIGNED'

    @sdf_check
    def run(self):
        for optic in optics:
            if ezca['GRD-' + optic + '_STATE'] != 'ALIGNED':
                notify('waiting for ' + optic)
                return
        return ezca.read('GRD-VIS_OPTIC1_STATE_N') == 100 and ezca['GRD-VIS_MANAGER1_STATE'] == 'ALL_ALIGNED'


class EARTHQUAKE(GuardState):
    index = 3

    def main(self):
        for optic in optics:
            ezca['GRD-%s_REQUEST' % optic] = 'SAFE'
        ezca['GRD-VIS_MANAGER1_REQUEST'] = 'IDLING'
        return True


class RELOADING(GuardState):
    index = 4

    def main(self):
        ezca['GRD-VIS_OPTIC1_OP'] = 'STOP'
        ezca['GRD-VIS_OPTIC1_OP'] = 'EXEC'
        self.started = ezca['GRD-VIS_OPTIC1_OP']

    def run(self):
        return ezca.read('GRD-VIS_OPTIC1_OP', as_string=True) == 'EXEC' and self.started == 2


class FOUND_TRIPPED(GuardState):
    index = 5
    redirect = False


edges = [('INIT', 'IDLING'), ('IDLING', 'ALL_ALIGNED'), ('IDLING', 'EARTHQUAKE'), ('IDLING', 'RELOADING')]
