#ifndef NOMADD_CSYSTEM_H
#define NOMADD_CSYSTEM_H

/// Shims for what Swift cannot call directly. Every function documents its unit, its error and its caller.

#endif
