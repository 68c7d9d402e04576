// Package house holds the tests that keep the rules of the house: who may
// import whom, what a library may not do, how big a binary may be, and that
// what is written about the tools is true. lib/README.md gives the reasons.
package house
