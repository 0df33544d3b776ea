/* Products of large integers that a signal cannot end, for the C code that mypyc makes (see meshsim/compiling.py).

Python looks for signals within long products, and the handler of a signal may raise. mypyc takes whatever goes wrong in
a product of two integers for a lack of memory, and aborts the process. Here what a handler raises is kept, the product
is computed again, and the interpreter raises what was kept as soon as it is back in code of its own: which is where it
hears of all other signals too.

Included before mypyc's int_ops.c alone, whose products are of two integers of Python's and have no effects. */

#include <Python.h>

static int meshsim_raise_kept(void *kept) {
    PyObject *error = (PyObject *)kept;
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return -1;
}

static PyObject *meshsim_multiply(PyObject *left, PyObject *right) {
    PyObject *product;
    while ((product = PyNumber_Multiply(left, right)) == NULL && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        if (traceback != NULL) {
            PyException_SetTraceback(error, traceback);
            Py_DECREF(traceback);
        }
        Py_DECREF(type);
        if (Py_AddPendingCall(meshsim_raise_kept, error) < 0) { /* 32 of them wait: say it, since it is lost */
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
            PyErr_WriteUnraisable(NULL);
            Py_DECREF(error);
        }
    }
    return product;
}

#define PyNumber_Multiply meshsim_multiply
