#ifndef NOMADD_CHTTPPARSER_SHIM_H
#define NOMADD_CHTTPPARSER_SHIM_H
#include <http_parser.h>
#endif
