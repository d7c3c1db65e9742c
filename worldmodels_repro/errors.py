"""The one exception that speaks to the user."""


class UserError(Exception):
    """A mistake that the user can mend: one line that says what to type.

    The command line prints the message alone and exits with 2; anything else that is raised
    is a bug and keeps its traceback.
    """
