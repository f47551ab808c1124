"""Credentials that a cloud lends for a while: how they are asked for, without any input or output.

A key in JSON says who lends (`Lender`). `borrow` yields what is to be sent or read, and is given
what came of it; whoever drives it owns the connection, the time limit and the clock. What it
returns signs requests until it ends (`Loan`).

    loans     the steps, and the errors
    google    a service account, workload identity federation, a user, the metadata of a machine
    amazon    a web identity, the metadata of a machine, a container's credentials
"""
