"""The provider side: nodes and what becomes of them, provisioning tokens, enrolment, earnings."""
