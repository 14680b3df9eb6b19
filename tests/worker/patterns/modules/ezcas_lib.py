import ezca as ezca_package
from ezca import Ezca, EzcaConnectError, EzcaError
from guardian.ligopath import userapps_path


def channel_name(channels, name):
    if not isinstance(channels, Ezca) or not isinstance(channels, ezca_package.Ezca):
        raise TypeError('no channels')
    return channels.prefix + name


def is_reached(name):
    """ezca is still the channels here, since the package has another name."""
    try:
        ezca.read(name, timeout=0.01)
    except EzcaConnectError as error:
        return not isinstance(error, EzcaError)


def safe_snapshot(optic):
    return userapps_path('sus', IFO.lower(), 'burtfiles', 'sus%s_safe.snap' % optic.lower())
