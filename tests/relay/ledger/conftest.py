from tests.support.statement_forms import form

__all__ = ["form"]
