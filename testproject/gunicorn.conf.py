"""The shop's web server: ``gunicorn testproject.wsgi``."""

workers = 2
threads = 8
# Newer versions open a socket in the home folder, the same for all servers; older ones ignore this.
control_socket_disable = True
