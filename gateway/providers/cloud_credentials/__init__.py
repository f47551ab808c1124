"""Temporary credentials of a cloud: the steps to fetch them, without any input or output.

A key in JSON names their source (`CredentialSource`). `fetch` yields what to send or read, and
receives the reply; the caller owns the connection, the time limit and the clock. The result
(`Credentials`) signs requests until it expires.

    credentials    the steps, and the errors
    google         a service account, workload identity federation, a user, a machine's metadata
    amazon         a web identity, a machine's metadata, a container's credentials
"""
