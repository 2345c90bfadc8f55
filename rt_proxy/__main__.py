"""``python -m rt_proxy`` is the command ``rt-proxy``."""

from rt_proxy.cli import main

if __name__ == "__main__":
    main(prog_name="rt-proxy")
