"""Temporary credentials of a cloud: how they are asked for, without any input or output.

A key in JSON names their source (`CredentialSource`). `fetch` yields what is to be sent or read and
gets the reply; the caller owns the connection, the time limit and the clock. The result
(`Credentials`) signs requests until it ends.

    credentials    the steps, and the errors
    google         a service account, workload identity federation, a user, a machine's metadata
    amazon         a web identity, a machine's metadata, a container's credentials
"""
