import time
from tests.workflows.cast import make_cast, node, document
from opscenter.operations.drafts import import_document
from opscenter.operations.publish import publish
def test_perf(db):
    cast = make_cast("standard")
    text = document(*[node(f"n{i}", *([f"n{i-1}"] if i else [])) for i in range(2000)])
    t=time.time(); r=import_document(cast.owner, cast.workspace, text); print("import", time.time()-t)
    t=time.time(); r=import_document(cast.owner, cast.workspace, text); print("again", time.time()-t)
    t=time.time(); p=publish(cast.owner, cast.workspace, r.nodes, "x"); print("publish", time.time()-t)
    t=time.time(); p=publish(cast.owner, cast.workspace, r.nodes, "x"); print("unchanged", time.time()-t)
