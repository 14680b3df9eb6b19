from guardian import GuardState, GuardStateDecorator


def get_idle_state():
    class IDLE_STATE(GuardState):
        goto = True

        def run(self):
            return True

    return IDLE_STATE


def set_config(configuration):
    class SET_CONFIG(GuardState):
        """Sets one configuration."""

        def main(self):
            log('configuration ' + configuration)

    return SET_CONFIG


def check_alert(alerts, to):
    class decorator(GuardStateDecorator):
        def pre_exec(self):
            if alerts:
                return to

    return decorator


def kill_streams(streams):
    class decorator(GuardStateDecorator):
        def pre_exec(self):
            while streams:
                log('killed ' + streams.pop())

    return decorator


def decorator_if(wanted):
    if wanted:
        class decorator(GuardStateDecorator):
            def pre_exec(self):
                return 'NOWHERE'
    else:
        class decorator(GuardStateDecorator):
            pass
    return decorator
