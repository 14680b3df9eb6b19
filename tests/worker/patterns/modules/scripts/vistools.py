def optic_of(name):
    return name.split('_')[1]
