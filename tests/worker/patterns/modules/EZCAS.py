"""A helper that tells channels from other things, as the field's do; a path below the userapps tree."""

from ezcas_lib import channel_name, is_reached, safe_snapshot
from guardian import GuardState


class UP(GuardState):
    def main(self):
        log('named ' + channel_name(ezca, 'GAIN'))
        log('snapshot ' + safe_snapshot('MC1'))
        return is_reached('NOT-THERE')


edges = [('INIT', 'UP')]
