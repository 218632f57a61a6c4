/*
 * One turn of the loop to all its sockets, in one call.
 *
 * send_all(sockets, chunks) does send(2) for each pair, with the interpreter's lock released, and says what was not wholly
 * taken: a list of (index, bytes that were taken, or minus errno); None if there is nothing to say. It never blocks and
 * never raises SIGPIPE. Everything else stays in Python, which has the same function: doors/sockets.py.
 *
 * A socket object is asked for its descriptor here, in the same call that uses it. While the lock is released the only
 * code that could close a socket, the reactor's, is waiting for this call; and a socket that was closed before has no
 * descriptor any more. So no byte can reach a connection that merely got the number of an old one.
 *
 * The limited API: one build serves every CPython from 3.11 on.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <errno.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL /* Python ignores the signal anyway */
#define MSG_NOSIGNAL 0
#endif

typedef struct {
    PyObject *chunk; /* owned, so that its bytes stay where they are */
    char *bytes;
    Py_ssize_t size;
    Py_ssize_t sent; /* or minus errno */
    int fd;          /* -1: the socket is closed */
} Parcel;

static void discard(Parcel *parcels, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) Py_DECREF(parcels[i].chunk);
    PyMem_Free(parcels);
}

/* Fills in one parcel; on failure an exception is set and the parcel owns nothing. */
static int address(Parcel *parcel, PyObject *sockets, PyObject *chunks, Py_ssize_t i) {
    PyObject *socket = PyList_GetItem(sockets, i), *chunk = PyList_GetItem(chunks, i); /* borrowed */
    if (!socket || !chunk) return -1;
    if (PyBytes_AsStringAndSize(chunk, &parcel->bytes, &parcel->size) < 0) return -1;
    Py_INCREF(chunk);
    parcel->chunk = chunk;
    parcel->fd = PyObject_AsFileDescriptor(socket);
    if (parcel->fd >= 0) return 0;
    if (PyErr_ExceptionMatches(PyExc_ValueError)) { /* how a closed socket answers */
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(chunk);
    return -1;
}

static void post(Parcel *parcel) {
    do parcel->sent = parcel->fd < 0 ? -EBADF : send(parcel->fd, parcel->bytes, parcel->size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (parcel->sent == -1 && parcel->fd >= 0 && errno == EINTR);
    if (parcel->sent == -1 && parcel->fd >= 0) parcel->sent = -errno;
}

/* A new list of what came back, or None. */
static PyObject *returned(const Parcel *parcels, Py_ssize_t count) {
    PyObject *list = NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (parcels[i].sent == parcels[i].size) continue;
        PyObject *pair = Py_BuildValue("(nn)", i, parcels[i].sent);
        if (!list) list = PyList_New(0);
        if (!pair || !list || PyList_Append(list, pair) < 0) {
            Py_XDECREF(pair);
            Py_XDECREF(list);
            return NULL;
        }
        Py_DECREF(pair);
    }
    if (list) return list;
    Py_RETURN_NONE;
}

static PyObject *send_all(PyObject *module, PyObject *arguments) {
    PyObject *sockets, *chunks;
    if (!PyArg_ParseTuple(arguments, "O!O!:send_all", &PyList_Type, &sockets, &PyList_Type, &chunks)) return NULL;
    Py_ssize_t count = PyList_Size(chunks), made = 0;
    if (PyList_Size(sockets) != count) {
        PyErr_SetString(PyExc_ValueError, "as many chunks as sockets");
        return NULL;
    }
    Parcel *parcels = PyMem_Malloc((count ? count : 1) * sizeof *parcels);
    if (!parcels) return PyErr_NoMemory();
    while (made < count && address(&parcels[made], sockets, chunks, made) == 0) made++;
    PyObject *answer = NULL;
    if (made == count) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++) post(&parcels[i]);
        Py_END_ALLOW_THREADS
        answer = returned(parcels, count);
    }
    discard(parcels, made);
    return answer;
}

static PyMethodDef functions[] = {
    {"send_all", send_all, METH_VARARGS, "send_all(sockets, chunks) -> what was not wholly taken: [(index, bytes sent or -errno)], or None"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_straight", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__straight(void) { return PyModuleDef_Init(&module); }
